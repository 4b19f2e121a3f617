"""What stands around the command line: training, clusters, QuPath."""
