"""Contours: the edges of labelled pixels, traced into rings of points."""
