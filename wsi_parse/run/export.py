"""export_run: other formats of the objects of a finished run, without predicting or outlining."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from wsi_parse.errors import UsageError
from wsi_parse.exporters.base import Exporter
from wsi_parse.exporters.check_formats import check_formats
from wsi_parse.exporters.opened import OpenedExporter
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.progress import Progress, Silent, stage_named
from wsi_parse.prompts import Kind, Prompt, Rgb
from wsi_parse.registry import EXPORTERS
from wsi_parse.run.locks import claim
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.manifest_facts import FormatFacts
from wsi_parse.run.outputs import export_context
from wsi_parse.run.publish import publish
from wsi_parse.run.result import OBJECTS, Run
from wsi_parse.run.work import staging
from wsi_parse.settings import ExportSettings
from wsi_parse.slides import open_slide


def export_run(
    folder: str | Path,
    formats: Sequence[str],
    *,
    gzip: bool = False,
    slide: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write the objects of a finished run in other formats, into the run's folder.

    They are read from objects.parquet, and each file is the one that the run itself would have written. A file that a
    person changed meanwhile is kept under another name.

    Parameters
    ----------
    folder : str or Path
        Of a finished run.
    formats : sequence of str
        Names of formats of objects; a format of probabilities needs the predictions.
    gzip : bool
        Compress the formats that can be compressed.
    slide : str or Path, optional
        The slide, for formats that refer to it.
    progress : Progress, optional

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    UsageError
        The folder holds no finished run with objects.parquet, or a format cannot be written from it.
    StoreError
        objects.parquet is damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse import segment_slide
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder, "small.svs"), SyntheticSlide(900, 700, seed=3, tissue=1.0))
    ...     _ = segment_slide(f"{folder}/small.svs", f"{folder}/out", prompts="nuclei", model="stain")
    ...     [path.name for path in export_run(f"{folder}/out", ["csv"])]
    ['objects.csv']
    """
    progress, folder = progress or Silent(), Path(folder)
    check_formats(formats)
    manifest = Run.open(folder, verify=False).manifest
    for name in dict.fromkeys(formats):
        _check_format(name, slide)
    if slide is not None:
        _check_slide(Path(slide), manifest)
    with stage_named(folder.name, "export"), claim(folder):
        recorded = manifest.outputs.get(OBJECTS)
        if recorded is None or sha256_of(folder / OBJECTS) != recorded:
            reason = "has no" if recorded is None else "has a changed or removed"
            raise UsageError(
                f"The run in {folder} {reason} {OBJECTS}, from which other formats are written.",
                "Run the slide again with --format parquet, and with the formats that you need.",
            )
        settings = ExportSettings.model_validate(manifest.settings["export"]).model_copy(update={"gzip": gzip})
        with staging(folder, "export") as staged:
            exporters = _write(staged, folder, list(dict.fromkeys(formats)), settings, manifest, slide, progress)
            return _publish(exporters, staged, folder, manifest, progress)


def _check_format(name: str, slide: str | Path | None) -> None:
    kind: type[Exporter] = EXPORTERS.get(name)
    if kind.needs_maps:
        raise UsageError(
            f"The format {name} is written from the predictions, and not from the objects of a finished run.",
            f"Run the slide again with --format {name}. Runs with --keep predictions do not predict again.",
        )
    if kind.needs_slide and slide is None:
        raise UsageError(f"The format {name} refers to the slide.", "Give the slide with --slide.")


def _check_slide(path: Path, manifest: RunManifest) -> None:
    with open_slide(path) as slide:
        if slide.info.fingerprint != manifest.slide["fingerprint"]:
            raise UsageError(
                f"{path.name} is not the slide of this run, which is {manifest.slide['name']}.",
                "Give the slide that the run was made from.",
            )


def _write(
    staged: Path,
    folder: Path,
    formats: list[str],
    settings: ExportSettings,
    manifest: RunManifest,
    slide: str | Path | None,
    progress: Progress,
) -> list[OpenedExporter]:
    classes = classes_of(manifest)
    context = export_context(manifest, settings, classes, Path(slide) if slide is not None else None)
    source = ParquetSource(folder / OBJECTS, classes)
    progress.start("export", max(1, source.steps))
    with ExitStack() as stack:
        exporters = [stack.enter_context(OpenedExporter(name, staged, context, settings)) for name in formats]
        for batch in source.batches():
            for exporter in exporters:
                exporter.write(batch)
            progress.advance("export")
    for exporter in exporters:
        for note in exporter.notes():
            progress.note(note)
    return exporters


def classes_of(manifest: RunManifest) -> ClassTable:
    """Return the classes of a finished run."""
    return ClassTable.of([_prompt(facts) for facts in manifest.prompts])


def _prompt(facts: object) -> Prompt:
    known = cast(dict[str, object], facts)
    colour = cast(Rgb, tuple(cast(list[int], known["colour"])))
    kind: Kind = "cell" if known["kind"] == "cell" else "region"
    return Prompt(str(known["text"]), str(known["name"]), kind, str(known["class"]), colour, known=True)


def _publish(
    exporters: Sequence[OpenedExporter], staged: Path, folder: Path, manifest: RunManifest, progress: Progress
) -> tuple[Path, ...]:
    """Move the files into the folder, and note them in the manifest."""
    names = [path.name for exporter in exporters for path in exporter.written]
    manifest.earlier = manifest.hashes()
    manifest.outputs |= {name: str(sha256_of(staged / name)) for name in names}
    manifest.formats |= {exporter.name: cast(FormatFacts, exporter.facts()) for exporter in exporters}
    publish(staged, folder, manifest, names, progress.note)
    manifest.earlier = {}
    manifest.save(folder)
    return tuple(folder / name for name in names)
