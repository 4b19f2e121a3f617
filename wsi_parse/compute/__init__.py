"""Where tasks run: in threads of this process, or by Dask's distributed scheduler in processes or on a cluster."""
