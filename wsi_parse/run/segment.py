"""segment_slide for Python: a path and words in, a finished Run out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import UsageError
from wsi_parse.files import check_can_be_folder
from wsi_parse.progress import Progress, Silent
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.resolve import resolve
from wsi_parse.run.result import Run
from wsi_parse.run.work import WORK
from wsi_parse.settings import ModelSettings, RunSettings

if TYPE_CHECKING:
    from distributed import Client


def segment_slide(
    path: str | Path,
    folder: str | Path,
    settings: RunSettings | None = None,
    *,
    prompts: str | Sequence[str] | None = None,
    model: str | ModelSettings | None = None,
    progress: Progress | None = None,
    client: "Client | None" = None,
) -> Run:
    """Segment one slide, and write the results into a folder.

    Parameters
    ----------
    path : str or Path
        The slide; nothing is written beside it.
    folder : str or Path
        Where the outputs go; created if it does not exist.
    settings : RunSettings, optional
    prompts : str or sequence of str, optional
        What to look for, in words; takes the place of that in `settings`.
    model : str or ModelSettings, optional
        Name of a model; takes the place of that in `settings`.
    progress : Progress, optional
        Receives notes and the progress of each stage; without it nothing is shown.
    client : distributed.Client, optional
        A Dask client of your own, which is never closed. Its workers need wsi-parse and the same paths; a model that
        uses a GPU needs workers that declare one: ``Client(resources={"GPU": 1})``. Without a client, the work is done
        where ``settings.compute`` says: in threads of this process, unless you set another cluster.

    Returns
    -------
    Run
        A finished run with the same settings is not repeated; one that was interrupted is continued.

    Raises
    ------
    WsiParseError
        What went wrong and what to do about it; the work done so far is kept for the next run.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder) / "small.svs", SyntheticSlide(900, 700, seed=3, tissue=1.0))
    ...     run = segment_slide(f"{folder}/small.svs", f"{folder}/out", prompts="nuclei", model="stain")
    ...     sorted(run.manifest.outputs)
    ['annotations.geojson', 'objects.parquet', 'overlay.png', 'report.html', 'tissue.geojson']
    """
    folder, settings, progress = Path(folder), with_words(settings, prompts, model), progress or Silent()
    check_can_be_folder(folder)
    if client is None:
        return Run(folder, run_slide(Path(path), folder, settings, progress))
    request = resolve(settings)
    for note in request.notes:
        progress.note(note)
    compute, chosen = request.settings.compute, request.settings.model
    with Cluster(compute, folder / WORK, progress.note, model=chosen, given=client) as cluster:
        return Run(folder, run_slide(Path(path), folder, request, progress, cluster))


def with_words(
    settings: RunSettings | None, prompts: str | Sequence[str] | None, model: str | ModelSettings | None
) -> RunSettings:
    """Put prompts and a model into settings, as far as they are given.

    Raises
    ------
    UsageError
        `settings` are none.
    """
    settings = RunSettings() if settings is None else settings
    if not isinstance(settings, RunSettings):
        raise UsageError(
            f"Settings are RunSettings, not {settings!r}.",
            'Write prompts="nuclei" for words, or RunSettings(prompts="nuclei", ...) for settings.',
        )
    if prompts is not None:
        settings = settings.model_copy(update={"prompts": RunSettings(prompts=prompts).prompts})
    if isinstance(model, str):
        # The other settings of models, such as the device, stay.
        model = settings.model.model_copy(update={"name": model})
    return settings if model is None else settings.model_copy(update={"model": RunSettings(model=model).model})
