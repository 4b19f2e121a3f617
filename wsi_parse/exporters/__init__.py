"""Exporters: finished objects in, files out that QuPath, tables and people read; each whole or not at all."""
