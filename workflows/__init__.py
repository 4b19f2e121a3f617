"""Workflows around the command line: training, clusters, QuPath."""
