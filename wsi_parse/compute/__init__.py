"""Where tasks run: Dask's distributed scheduler, in this process, in several processes, or on a cluster."""
