"""Exporters: write finished objects as files for QuPath, tables and people; each file is written atomically."""
