"""Choose from which probability on a class is sure: where it is right at least 9 times in 10, on calibration groups.

python -m workflows.train_mini.calibrate WEIGHTS DATA -o confidence.json [--check [--folds FOLD_0 … FOLD_4]]

With ``--check``, a class that is right less often on held-out sets is never sure.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflows.train_mini.as_slides import AsSlides
from workflows.train_mini.figures import is_judged, is_right
from workflows.train_mini.intervals import RESAMPLED, limits
from workflows.train_mini.looked import LOG_NAME, log_look
from workflows.train_mini.measure import Scores, compared
from workflows.train_mini.selection import Selection, measuring_parser
from workflows.train_mini.splits import FOLDS
from workflows.train_mini.tiles import UNKNOWN, Tile
from wsi_parse.files import file_sha256, write_text
from wsi_parse.models.mini.facts import CLASSES

#: How often a sure class is right at least.
RIGHT = 0.9
#: Sets of one organ. There, classes that can be judged without normal tissue have lines of their own.
ORGANS = {"breast": ("brca_m2c", "nucls"), "colon": ("consep",)}
_OF_ORGANS = ("inflammatory", "connective")
#: The lines that are tried.
LINES = np.round(np.arange(0.5, 0.951, 0.01), 2)
# With fewer groups that have nuclei of a class, the lower end of an interval says nothing: the share itself is judged.
_ENOUGH_GROUPS = 6
# A share of fewer nuclei is chance.
_ENOUGH_NUCLEI = 30


class Chosen(NamedTuple):
    """The line of one class.

    Parameters
    ----------
    line : float or None
        None if no line is right often enough.
    accuracy : list of float
        At the line (without one: at the line where it is highest): the share that is right, low and high.
    groups, nuclei : int
        Groups with nuclei called this class, and the nuclei from the line on.
    judged_by : str
        "lower end of the interval" or "share", if there are too few groups.
    """

    line: float | None
    accuracy: list[float]
    groups: int
    nuclei: int
    judged_by: str


class _Counts(NamedTuple):
    """Of one class: for each group and line, the weighted number of nuclei called it, and that of right ones."""

    lines: NDArray[np.float64]
    sets: NDArray[np.str_]
    called: NDArray[np.float64]
    right: NDArray[np.float64]
    nuclei: NDArray[np.int64]


def choose_lines(scores: Sequence[Scores]) -> dict[str, Chosen]:
    """Choose the lowest line of each class from which on nuclei called it are right often enough.

    Every set counts as if it had as many nuclei as any other, of which the truth tells anything.
    """
    return {name: _chosen(_counts(scores, index, LINES)) for index, name in enumerate(CLASSES)}


def choose_organ_lines(scores: Sequence[Scores]) -> dict[str, dict[str, float | None]]:
    """Choose the lines of each organ that has sets of its own, for the classes that need no normal tissue."""
    result = {}
    for organ, names in ORGANS.items():
        if some := [one for one in scores if one.tile.set_name in names]:
            chosen = choose_lines(some)
            result[organ] = {name: chosen[name].line for name in _OF_ORGANS}
    return result


def without_refuted(lines: Mapping[str, float | None], seen: Mapping[str, Sequence[float]]) -> dict[str, float | None]:
    """Take the line from classes that were right less often than they should on the sets that check it.

    >>> without_refuted({"neoplastic": 0.9, "inflammatory": 0.7}, {"neoplastic": [0.95], "inflammatory": [0.88]})
    {'neoplastic': 0.9, 'inflammatory': None}
    """
    return {name: None if name in seen and seen[name][0] < RIGHT else line for name, line in lines.items()}


def judge(scores: Sequence[Scores], lines: Mapping[str, float | None]) -> dict[str, Chosen]:
    """Return what is seen at lines that were chosen before."""
    result = {}
    for index, name in enumerate(CLASSES):
        line = lines.get(name)
        one = _chosen(_counts(scores, index, LINES if line is None else np.array([line])))
        result[name] = one._replace(line=line)
    return result


def reached(scores: Sequence[Scores], lines: Mapping[str, float | None]) -> dict[str, list[float]]:
    """Return how often nuclei are right from the line of their class on, with the interval; none without a line."""
    result = {}
    for name, line in lines.items():
        if line is not None:
            counts = _counts(scores, CLASSES.index(name), np.array([line]))
            if counts.nuclei.sum():
                result[name] = [round(float(value[0]), 3) for value in _shares(counts)]
    return result


def _counts(scores: Sequence[Scores], index: int, lines: NDArray[np.float64]) -> _Counts:
    groups = sorted({(s.tile.set_name, s.tile.group) for s in scores})
    called, right = (np.zeros((len(groups), len(lines))) for _ in range(2))
    judged_in: dict[str, int] = {}
    for s in scores:
        found, known = s.paired_classes()
        judged = is_judged(found, known)
        judged_in[s.tile.set_name] = judged_in.get(s.tile.set_name, 0) + int((known != UNKNOWN).sum())
        above = (judged & (found == index))[:, None] & (s.confidence[s.pairs[:, 0]][:, None] >= lines)
        row = groups.index((s.tile.set_name, s.tile.group))
        called[row] += above.sum(axis=0)
        right[row] += (above & is_right(found, known)[:, None]).sum(axis=0)
    nuclei = called.sum(axis=0).astype(np.int64)
    weight = np.array([1 / max(1, judged_in[name]) for name, _ in groups])[:, None]
    return _Counts(lines, np.array([name for name, _ in groups]), called * weight, right * weight, nuclei)


def _shares(counts: _Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the share that is right at each line, low and high: groups are resampled within their set."""
    rng = np.random.default_rng(0)
    times = np.zeros((RESAMPLED, len(counts.sets)))
    for name in np.unique(counts.sets):
        of_set = np.flatnonzero(counts.sets == name)
        times[:, of_set] = rng.multinomial(len(of_set), np.full(len(of_set), 1 / len(of_set)), RESAMPLED)
    drawn = times @ counts.right / np.maximum(times @ counts.called, 1e-12)
    value = counts.right.sum(axis=0) / np.maximum(counts.called.sum(axis=0), 1e-12)
    low, high = np.array([limits(column) for column in drawn.T]).T
    return value, low, high


def _chosen(counts: _Counts) -> Chosen:
    value, low, high = _shares(counts)
    groups = int((counts.called[:, 0] > 0).sum())
    by_interval = groups >= _ENOUGH_GROUPS
    enough = counts.nuclei >= _ENOUGH_NUCLEI
    good = np.flatnonzero(enough & ((low if by_interval else value) >= RIGHT))
    at = int(good[0]) if len(good) else int(np.argmax(np.where(enough, value, -1.0)))
    return Chosen(
        float(counts.lines[at]) if len(good) else None,
        [round(float(one[at]), 3) for one in (value, low, high)] if counts.nuclei[at] else [],
        groups,
        int(counts.nuclei[at]),
        "lower end of the interval" if by_interval else "share",
    )


def calibration_table(figures: dict[str, Any]) -> str:
    """Return the table of lines: what was seen on calibration groups, and on sets not used for choosing."""
    rows = ["| class | sure from | right there, on calibration groups | judged by | right on the held-out sets |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for name, one in figures["chosen"].items():
        line = f"{one['line']:.2f}" if one["line"] is not None else "never"
        seen = f"{_formatted(one['accuracy'])}, {one['groups']} groups, {one['nuclei']:,} nuclei"
        elsewhere = _formatted(figures["reached"].get(name, []))
        rows.append(f"| {name} | {line} | {seen} | {one['judged_by']} | {elsewhere} |")
    return "\n".join(rows)


def _formatted(interval: Sequence[float]) -> str:
    if not interval:
        return ""
    value, low, high = interval
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


class Calibration(NamedTuple):
    """What confidence.json says of a class: its line, and how often it was right on sets that were not used for it."""

    lines: dict[str, float | None]
    reached: dict[str, list[float]]

    @classmethod
    def checked(cls, lines: Mapping[str, float | None], scores: Sequence[Scores]) -> "Calibration":
        """Check lines on other sets; without any, they stay as they are."""
        seen = reached(scores, lines) if scores else {}
        kept = without_refuted(lines, seen)
        return cls(kept, {name: one for name, one in seen.items() if kept[name] is not None})


def confidence_of(
    lines: Mapping[str, float | None],
    of_organs: Mapping[str, Mapping[str, float | None]],
    check: Sequence[Scores],
    weights: Path,
) -> dict[str, Any]:
    """Return what the product reads of the lines, after a check on other sets; `learnt` is filled by others."""
    general = Calibration.checked(lines, check)
    organs = {
        organ: Calibration.checked(own, [one for one in check if one.tile.set_name in ORGANS[organ]])
        for organ, own in of_organs.items()
    }
    return {
        "weights_sha256": file_sha256(weights),
        **general._asdict(),
        "organs": {organ: one.lines for organ, one in organs.items()},
        "reached_in_organs": {organ: one.reached for organ, one in organs.items()},
        "learnt": {},
    }


def main() -> None:
    """Run the command."""
    parser = measuring_parser("calibrate", __doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="confidence.json; kept keys are not lost")
    parser.add_argument(
        "--check", action="store_true", help="tell how often sure classes are right on held-out sets (logged as a look)"
    )
    parser.add_argument(
        "--folds", type=Path, nargs=FOLDS, metavar="WEIGHTS", help="five networks, checked on their folds"
    )
    given = parser.parse_args()
    if given.folds and not given.check:
        parser.error("--folds is for --check")
    selection = Selection(given.data, given.settings)
    check: list[Scores] = []
    with AsSlides(given.weights) as find:
        calibrated = [compared(tile, find(tile)) for tile in selection.calibration()]
        if given.check:
            tiles = [tile for tile in selection.held_out() if tells_classes(tile)]
            log_look("calibrate", given.weights, tiles, given.settings.with_name(LOG_NAME))
            check += [compared(tile, find(tile)) for tile in tiles]
    for number, weights in enumerate(given.folds or ()):
        with AsSlides(weights) as find:
            check += [compared(tile, find(tile)) for tile in selection.fold(number)]
    chosen = choose_lines(calibrated)
    lines = {name: one.line for name, one in chosen.items()}
    content = confidence_of(lines, choose_organ_lines(calibrated), check, given.weights)
    if given.out.exists():
        content["learnt"] = json.loads(given.out.read_text(encoding="utf-8")).get("learnt", {})
    write_text(given.out, json.dumps(content, indent=1) + "\n")
    shown = {"chosen": {name: one._asdict() for name, one in chosen.items()}, "reached": reached(check, lines)}
    print(calibration_table(shown))
    for organ, own in content["organs"].items():
        print(f"{organ}: {own}, right on held-out sets {content['reached_in_organs'][organ]}")


def tells_classes(tile: Tile) -> bool:
    """Return whether the truth of a tile tells classes."""
    return tile.classes is not None or tile.centre_classes is not None


if __name__ == "__main__":
    main()
