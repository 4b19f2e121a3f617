"""Corrections that a run kept aside: a reviewer saved over the annotations, and the slide was run again."""

import re
from collections.abc import Sequence
from pathlib import Path

from wsi_parse.errors import UsageError
from wsi_parse.gates import EDITED

_NAME = re.compile(
    rf"(?P<stem>annotations(?:_\d{{2,}})?)\.{EDITED}(?P<date>\d{{4}}-\d\d-\d\d)(?:-(?P<number>\d+))?\.geojson(?:\.gz)?"
)


def corrections_in(folder: Path, annotations: Sequence[Path]) -> tuple[Path, ...]:
    """Return the newest corrected annotations in the folder of a run; empty if there are none.

    Parameters
    ----------
    folder : Path
    annotations : sequence of Path
        What the run itself wrote. Where it wrote parts, of which some were corrected, the others count as they are.
    """
    newest: dict[str, tuple[str, int, Path]] = {}
    for path in folder.iterdir():
        if (found := _NAME.fullmatch(path.name)) and path.is_file():
            version = (found["date"], int(found["number"] or 1), path)
            newest[found["stem"]] = max(newest.get(found["stem"], version), version)
    corrected = {stem: path for stem, (_, _, path) in newest.items()}
    own = {path.name.partition(".")[0]: path for path in annotations}
    if corrected and corrected.keys() <= own.keys():
        corrected = own | corrected
    return tuple(corrected[stem] for stem in sorted(corrected))


def is_correction(path: Path) -> bool:
    """Return whether a file has the name of annotations that were kept aside.

    >>> is_correction(Path("annotations.edited-2026-11-27-2.geojson")), is_correction(Path("annotations.geojson"))
    (True, False)
    """
    return _NAME.fullmatch(path.name) is not None


def no_corrections(name: str, *, changed: bool) -> UsageError:
    """Build the error for a run without corrected annotations.

    Parameters
    ----------
    name : str
        Of the run's folder.
    changed : bool
        Whether the annotations in it are not as the run wrote them.
    """
    if changed:
        return UsageError(
            f"The annotations in {name} were changed since the run, so what the run predicted is not there.",
            "Run the slide again with the same settings: your file is kept aside, and evaluate finds it.",
        )
    return UsageError(
        f"{name} holds no corrected annotations.",
        "Give them with --truth; or save them over the annotations there, and run the slide again.",
    )
