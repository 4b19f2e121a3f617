"""Fitting of the pixel-size estimate."""
