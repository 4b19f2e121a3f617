"""How many GPUs dask-cuda may use: with several, each gets a worker process of its own."""

import importlib.util


def number_of_gpus() -> int:
    """Return the number of GPUs for dask-cuda; 0 if it is not installed."""
    if importlib.util.find_spec("dask_cuda") is None:
        return 0
    from dask_cuda.utils import get_n_gpus

    return int(get_n_gpus())
