"""The version of wsi-parse: this is its only place."""

__version__ = "0.1.0"
