"""Where the work is done: Dask's distributed scheduler, in this process, in several, or elsewhere."""
