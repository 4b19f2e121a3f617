"""Run: the results of a finished run, for Python: its objects, maps, picture and manifest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import shapely
from PIL import Image

from wsi_parse.errors import MissingPackageError, StoreError, UnknownNameError, UsageError
from wsi_parse.exporters.parquet import NUCLEUS, OFFSET, PROVENANCE_KEY, ParquetExporter
from wsi_parse.files import MANIFEST_NAME
from wsi_parse.gates import check_input
from wsi_parse.prompts import Prompt
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.outputs import OVERLAY_NAME
from wsi_parse.run.probability import Probability, folders_of_maps, open_probability
from wsi_parse.text import for_html

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from wsi_parse.viewer.notebook import Viewing

OBJECTS = ParquetExporter.file_name
_KEEP = 'with --keep predictions (in Python: RunSettings(export={"keep": "predictions"}))'


@dataclass(frozen=True)
class Run:
    """A finished run: a folder of results.

    Parameters
    ----------
    folder : Path
    manifest : RunManifest
        The content of run.json: model, settings, counts, times, cautions.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import wsi_parse
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> with TemporaryDirectory() as folder:
    ...     write_svs_like(Path(folder) / "small.svs", SyntheticSlide(900, 700, seed=3, tissue=1.0))
    ...     _ = wsi_parse.segment_slide(f"{folder}/small.svs", f"{folder}/out", prompts="nuclei", model="stain")
    ...     run = wsi_parse.Run.open(f"{folder}/out")
    ...     run.thumbnail().mode, run.counts["nuclei"] == len(run.objects())
    ('RGB', True)
    """

    folder: Path
    manifest: RunManifest

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> "Run":
        """Open the folder of a finished run.

        Parameters
        ----------
        folder : str or Path
        verify : bool
            False opens it also where outputs were changed since they were written, and takes no time for their hashes.

        Raises
        ------
        UsageError
            The folder holds no run, the run is not finished, or an output was changed or removed.
        ManifestError
            run.json cannot be read.
        """
        folder = check_input(folder, "the folder of a run", folder=True)
        manifest = RunManifest.load(folder)
        if manifest is None:
            raise UsageError(
                f"{folder} holds no run: there is no {MANIFEST_NAME} in it.",
                f"Give the folder of one slide, such as {_a_run_in(folder)}.",
            )
        if manifest.state != "done":
            why = f" It failed: {manifest.error}" if manifest.error else ""
            raise UsageError(f"The run in {folder} is not finished.{why}", "Run the same command again.")
        if verify and (changed := list(manifest.changed_outputs(folder, manifest.outputs))):
            raise UsageError(
                f"{', '.join(changed)} in {folder} was changed or removed since the run.",
                "Run the same command again, or open it as it is with Run.open(folder, verify=False).",
            )
        return cls(folder, manifest)

    @property
    def counts(self) -> dict[str, int]:
        """Number of objects of each prompt."""
        return self.manifest.counts

    def objects(self) -> "GeoDataFrame":
        """Read all objects: one row each, with outline, prompt, class and measurements.

        Returns
        -------
        geopandas.GeoDataFrame
            Outlines are in level-0 pixels (whatever frame the outputs have), areas of the measurements in µm² as their
            names say. The index is the id of each object, as in the GeoJSON for QuPath.

        Raises
        ------
        MissingPackageError
            geopandas is not installed.
        UsageError
            The run wrote no objects.parquet, from which objects are read.
        """
        need_geopandas()
        path = self.folder / OBJECTS
        if OBJECTS not in self.manifest.outputs or not path.is_file():
            raise UsageError(
                f"The run in {self.folder} has no {OBJECTS}, from which objects are read.",
                "Run the same command again with --format parquet (in Python: "
                'RunSettings(export={"formats": ("geojson", "parquet")})).',
            )
        return objects_of(path)

    def probability(self, prompt: str) -> Probability:
        """Open the probability of a prompt over the whole slide, without reading it yet.

        Parameters
        ----------
        prompt : str
            One of the run's prompts, or a synonym.

        Returns
        -------
        Probability
            Its `array` is a dask.array; ``.array[:512, :512].compute()`` reads a part.

        Raises
        ------
        UnknownNameError
            The run did not look for that prompt.
        UsageError
            The predictions were not kept.
        StoreError
            What was kept is damaged.
        """
        name = name_of_prompt(prompt, {one["text"]: one["name"] for one in self.manifest.prompts})
        for maps in folders_of_maps(self.folder, self.manifest.digests.predict):
            found = open_probability(maps, name)
            if found is not None:
                return found
        if self.manifest.maps_kept:
            raise StoreError(
                f"The kept predictions of the run in {self.folder} were removed.",
                f"Run the same command again {_KEEP}.",
            )
        raise UsageError(
            f"The run in {self.folder} did not keep its predictions.", f"Run the same command again {_KEEP}."
        )

    def thumbnail(self) -> Image.Image:
        """Return the picture of the slide with its objects (overlay.png), RGB.

        For the slide without objects: ``open_slide(path).get_thumbnail((1000, 1000))``.

        Raises
        ------
        UsageError
            The run drew no picture.
        """
        path = self.folder / OVERLAY_NAME
        if OVERLAY_NAME not in self.manifest.outputs or not path.is_file():
            raise UsageError(
                f"The run in {self.folder} has no {OVERLAY_NAME}.",
                "Run the same command again with --set export.overlay_px=2048.",
            )
        with Image.open(path) as picture:
            return picture.convert("RGB")

    def view(
        self,
        slide: str | Path | None = None,
        *,
        files: str | Path | Sequence[str | Path] = (),
        port: int = 0,
        height: int = 640,
    ) -> "Viewing":
        """Look at the run in the viewer: in a notebook as a frame, elsewhere by the link that is shown.

        Parameters
        ----------
        slide : str, Path or None
            The slide, or the folder it is in: a run does not keep where its slide is. None: it is looked for by its
            name in the current folder, and beside and above the run.
        files : str, Path or sequence of them
            GeoJSON files to lie over the slide, such as what somebody corrected.
        port : int
            On this machine; 0: a free one.
        height : int
            Of the frame, in pixels of the screen.

        Returns
        -------
        Viewing
            Its `link` opens the viewer in a browser on this machine; `close()` ends it, as the end of the process does.
            Asked for again the same is given, or a new one if a file was changed since.

        Raises
        ------
        UsageError
            The slide was not found or is another one, the run has no objects.parquet, or this installation has no
            viewer.
        """
        from wsi_parse.viewer.notebook import view_run

        where = None if slide is None else Path(slide)
        given = [files] if isinstance(files, str | Path) else files
        return view_run(self.folder, where, [Path(file) for file in given], port=port, height=height)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        return f"<Run of {self.manifest.slide.get('name')} in {self.folder}: {counts or 'no prompts'}>"

    def _repr_html_(self) -> str:
        """Show a table of counts in a notebook; all text is escaped, because it comes from outside."""
        columns = ("prompt", "objects", "per mm²")
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = "".join(
            f"<tr><td>{for_html(name)}</td><td>{count:,}</td><td>{self.manifest.per_mm2.get(name, 0):,.0f}</td></tr>"
            for name, count in self.counts.items()
        )
        title = f"{self.manifest.slide.get('name')}, model {self.manifest.model.get('name')}"
        table = f"<table><tr>{head}</tr>{rows}</table>"
        return f"<p><b>{for_html(title)}</b></p>{table}<p>{for_html(self.manifest.notice)}</p>"


def name_of_prompt(words: str, prompts: Mapping[str, str]) -> str:
    """Return the name of the prompt that words mean, among those of a run (words -> name).

    Raises
    ------
    UnknownNameError
        It is none of them.
    """
    # A model may have a vocabulary of its own: what the user asked for counts before what we make of the words.
    for name in (prompts.get(words, words), Prompt.parse(words).name):
        if name in prompts.values():
            return name
    raise UnknownNameError.of("prompt", words, prompts.values())


def need_geopandas() -> None:
    """Make sure that geopandas can be imported.

    Raises
    ------
    MissingPackageError
        It is not installed; the remedy says how to install it.
    """
    if find_spec("geopandas") is None:
        raise MissingPackageError(
            "This needs the package geopandas, which is not installed.", 'Install it: pip install "wsi-parse[geo]"'
        )


def objects_of(parquet: bytes | Path) -> "GeoDataFrame":
    """Read objects from a file of ours, or from its content, and bring them to level-0 pixels."""
    from geopandas import GeoSeries, read_parquet

    metadata = pq.read_schema(BytesIO(parquet) if isinstance(parquet, bytes) else parquet).metadata
    offset = _offset(metadata or {})
    table = read_parquet(BytesIO(parquet) if isinstance(parquet, bytes) else parquet).set_index("id")
    table = table.set_geometry(table.geometry.translate(*offset))
    if NUCLEUS in table:
        shapes = shapely.from_wkb(table[NUCLEUS].to_numpy(object))
        table[NUCLEUS] = GeoSeries(shapes, index=table.index).translate(*offset)
    # The bounds are for readers of the file; they are in its frame.
    return table.drop(columns="bbox", errors="ignore")


def _offset(metadata: Mapping[bytes, bytes]) -> tuple[float, float]:
    """Return what the outputs subtracted from level-0 pixels."""
    values: dict[str, Any] = json.loads(metadata.get(PROVENANCE_KEY.encode(), b"{}"))
    x, y = values.get(OFFSET) or (0, 0)
    return float(x), float(y)


def _a_run_in(folder: Path) -> Path:
    """Return the first folder of results in a folder, or an example if there is none."""
    runs = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    return runs[0] if runs else Path("wsi-parse-out", "slide")
