"""An example of a package with plug-ins for wsi-parse; found by its entry points only."""
