"""Where tasks run: Dask's distributed scheduler, in this process, in several processes, or on a cluster."""

from wsi_parse.compute.dask_settings import import_dask

import_dask()
