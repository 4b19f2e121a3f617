"""The embedded model: nuclei and their classes, with weights inside the package."""
