"""What the evaluate command writes: nothing that is read or that somebody else wrote is replaced."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wsi_parse.errors import UsageError
from wsi_parse.files import MANIFEST_NAME, read_manifest, try_writing
from wsi_parse.gates import check_outputs, exists, is_ours, keep_aside

if TYPE_CHECKING:
    from wsi_parse.evaluate.inputs import FilePair


class Outputs(NamedTuple):
    """Where results are written; None writes nothing."""

    json: Path | None = None
    csv: Path | None = None
    overlay: Path | None = None
    html: Path | None = None

    def named(self) -> dict[str, Path]:
        """Return what is written, by the option that names it."""
        named = zip(("--out-json", "--out-csv", "--overlay", "--out-html"), self, strict=True)
        return {option: path for option, path in named if path is not None}

    def check(self, inputs: Mapping[str, Path | None]) -> None:
        """Refuse files that cannot be written, that are inputs, or of which two have one name.

        Parameters
        ----------
        inputs : mapping of str to Path or None
            What is read, by the option that names it; see :meth:`check_files` for what folders hold.
        """
        files = {option: path for option, path in inputs.items() if path is not None and not _is_folder(path)}
        check_outputs(self.named(), files)
        for path in self.named().values():
            _try_output(path)
        if self.overlay is not None and self.overlay.suffix.lower() != ".png":
            raise UsageError(
                f"The picture is a PNG file, but {self.overlay} does not end in .png.",
                "Choose a name that ends in .png.",
            )

    def picture_of(self, pair: "FilePair", *, several: bool) -> Path | None:
        """Return the picture of a pair: one of several has the name of its pair."""
        if self.overlay is None or not several:
            return self.overlay
        return self.overlay.with_stem(f"{self.overlay.stem}-{pair.name}")

    def check_files(self, pairs: "Sequence[FilePair]", roi: Path | None) -> None:
        """Refuse results and pictures that would replace a file that is read, an output of a run, or one another."""
        outputs, several = self.named(), len(pairs) > 1
        if several:
            outputs.pop("--overlay", None)
        inputs = {} if roi is None else {"--roi": roi}
        for pair in pairs:
            # One that is not there yet can replace nothing.
            if several and (picture := self.picture_of(pair, several=True)) is not None and exists(picture):
                outputs[f"the picture of {pair.name}"] = picture
            inputs |= {f"the truth {path.name}": path for path in pair.truth}
            inputs |= {f"the prediction {path.name}": path for path in pair.pred}
            for folder in pair.folders:
                written = (read_manifest(folder) or {}).get("outputs", ())
                inputs |= {f"{name} of the run": folder / name for name in (MANIFEST_NAME, *written)}
        if outputs:
            check_outputs(outputs, inputs)

    def keep_others(self, pairs: "Sequence[FilePair]") -> list[str]:
        """Keep files aside that have the name of a result but were not written by wsi-parse; return sentences on them.

        Our files are known by the notice that they hold.
        """
        pictures = [self.picture_of(pair, several=len(pairs) > 1) for pair in pairs]
        paths = (self.json, self.csv, self.html, *pictures)
        others = [path for path in paths if path is not None and exists(path) and not is_ours(path)]
        return [f"{path.name} was not written by wsi-parse, and is kept as {keep_aside(path).name}." for path in others]


def _is_folder(path: Path) -> bool:
    return exists(path) and path.is_dir()


def _try_output(path: Path) -> None:
    """Refuse a path that cannot be written."""
    if _is_folder(path):
        raise UsageError(f"{path} is a folder.", "Give the name of a file.")
    try:
        try_writing(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{path} cannot be written: {reason}.", "Create its folder first, or choose another file."
        ) from error
