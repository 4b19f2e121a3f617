"""The embedded model: nuclei, and their classes, on a machine that has nothing."""
