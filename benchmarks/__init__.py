"""What is measured, and how: one module a figure, run as `python -m benchmarks.NAME`."""
