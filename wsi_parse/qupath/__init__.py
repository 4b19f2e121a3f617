"""GeoJSON for QuPath: its rules for geometry, classes and ids; files are checked and repaired."""
