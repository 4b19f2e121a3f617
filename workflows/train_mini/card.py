"""The model card by one command: held-out tiles are run as slides by the product, and compared with their truth.

python -m workflows.train_mini.card WEIGHTS DATA --card wsi_parse/models/mini/CARD.md
"""

import argparse
import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide

from workflows.train_mini.as_slides import AsSlides
from workflows.train_mini.calibrate import choose_lines, judge, reached, tells_classes
from workflows.train_mini.class_curves import draw_precision_recall, draw_reliability
from workflows.train_mini.failures import draw_failures
from workflows.train_mini.figures import called, density_ratio, figures
from workflows.train_mini.intervals import with_intervals
from workflows.train_mini.looked import LOG_NAME, log_look
from workflows.train_mini.looks import compare_looks
from workflows.train_mini.measure import Finder, Scores, compared, found_by, with_lines
from workflows.train_mini.selection import Selection, measuring_parser
from workflows.train_mini.splits import FOLDS
from workflows.train_mini.tables import print_figures, write_card
from workflows.train_mini.tiles import Tile, scaled
from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.files import file_sha256, write_text
from wsi_parse.models.device import choose_device
from wsi_parse.models.mini.confidence import confidence_of
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.weights import load_network

# A common mistake: 40x tiles with 0.17 µm/px are read as 0.25 µm/px.
_WRONG_SCALE = 0.25 / 0.17
# Skin without tumour, only looked at: it is never learnt from, nor is anything chosen on it.
_SKIN = Path("slides") / "aperio" / "CMU-1-Small-Region.svs"
_DOCS = Path(__file__).parents[2] / "docs"


def measure_all(find: Finder, kept: Sequence[Tile], normal: Collection[str], weights: Path) -> dict[str, Any]:
    """Measure every set; each figure with the 95 % interval of a bootstrap over groups.

    Parameters
    ----------
    find : Finder
        The product's run of a tile as a slide, or a quick look without a run.
    kept : sequence of Tile
        Held-out tiles.
    normal : collection of str
        Sets of normal tissue.
    weights : Path
        File of the network; its hash is stored with the figures.

    Returns
    -------
    dict
        For JSON.
    """
    scores, refused = scores_of(find, kept)
    wrong, _ = scores_of(find, (scaled(tile, tile.mpp * _WRONG_SCALE) for tile in kept if tile.set_name in normal))
    return figures_of(scores, wrong, weights) | ({"refused": refused} if refused else {})


def scores_of(find: Finder, tiles: Iterable[Tile]) -> tuple[list[Scores], list[str]]:
    """Find and compare the nuclei of tiles; return also the tiles that a run refuses, such as those that are black."""
    scores, refused = [], []
    for tile in tiles:
        try:
            scores.append(compared(tile, find(tile)))
        except UnsupportedSlideError as error:
            refused.append(f"{tile.set_name} {tile.name}: {error}")
    return scores, refused


def by_set(scores: Iterable[Scores]) -> dict[str, list[Scores]]:
    """Return the scores of each set."""
    sets: dict[str, list[Scores]] = {}
    for one in scores:
        sets.setdefault(one.tile.set_name, []).append(one)
    return sets


def figures_of(scores: Sequence[Scores], wrong: Sequence[Scores], weights: Path) -> dict[str, Any]:
    """Compute the figures of every set; `wrong` are scores of normal tissue at a pixel size that is wrong."""
    sets: dict[str, Any] = {}
    of_wrong = by_set(wrong)
    for name, some in by_set(scores).items():
        measured: dict[str, Any] = {
            "groups": len({one.tile.group for one in some}),
            "tiles": len(some),
            "nuclei": sum(len(one.known_class) for one in some),
            **with_intervals(some, figures),
        }
        if name in of_wrong:
            measured |= {
                "neoplastic": with_intervals(some, _neoplastic),
                "neoplastic_at_wrong_scale": with_intervals(of_wrong[name], _neoplastic),
                "organs": _by_organ(some),
            }
        if all(one.tile.tumour is not None for one in some):
            each = [round(density_ratio([one])["inside_to_outside"], 2) for one in some]
            measured |= {**with_intervals(some, density_ratio), "inside_to_outside_of_each": each}
        sets[name] = measured
    return {"weights_sha256": file_sha256(weights), "sets": sets}


def _neoplastic(scores: Sequence[Scores]) -> dict[str, float]:
    return called(scores, "neoplastic")


def _by_organ(scores: Sequence[Scores]) -> dict[str, dict[str, float]]:
    organs = {}
    for group in sorted({one.tile.group for one in scores}):
        some = [one for one in scores if one.tile.group == group]
        organs[group] = {"tiles": len(some), **{key: round(value, 4) for key, value in _neoplastic(some).items()}}
    return organs


def folds_of(of_folds: Sequence[Sequence[Scores]]) -> dict[str, dict[str, list[float]]]:
    """Return for each set and figure the mean, lowest and highest of the networks, each on the fold it did not see."""
    result: dict[str, dict[str, list[float]]] = {}
    each = [{name: figures(some) for name, some in by_set(scores).items()} for scores in of_folds]
    for name in dict.fromkeys(name for one in each for name in one):
        values = [one[name] for one in each if name in one]
        keys = [key for key in values[0] if all(key in one for one in values)]
        result[name] = {
            key: [round(float(pick([one[key] for one in values])), 4) for pick in (np.mean, np.min, np.max)]
            for key in keys
        }
    return result


def skin_of(find: Finder, data: Path) -> dict[str, float] | None:
    """Return how many nuclei of skin are called neoplastic, and surely; None where that slide is absent."""
    if not (data / _SKIN).exists():
        return None
    with openslide.OpenSlide(data / _SKIN) as slide:
        image = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
        mpp = float(slide.properties[openslide.PROPERTY_NAME_MPP_X])
    found = find(Tile("skin", "skin", _SKIN.stem, mpp, image, np.zeros(image.shape[:2], np.int32), None))
    neoplastic, nuclei = found.classes == CLASSES.index("neoplastic"), max(1, len(found.classes))
    shares = {"called": neoplastic.sum() / nuclei, "surely": (neoplastic & found.sure).sum() / nuclei}
    return {"nuclei": len(found.classes), **{name: round(float(share), 4) for name, share in shares.items()}}


def write_figures(figures_: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    write_text(path, re.sub(r"\[\s+([^\[\]]*?)\s+\]", _one_line, json.dumps(figures_, indent=1)) + "\n")


def _one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


def _arguments() -> argparse.Namespace:
    parser = measuring_parser("card", __doc__)
    parser.add_argument("--card", type=Path, help="model card whose tables are replaced")
    parser.add_argument("--json", type=Path, help="file of the figures; default: figures.json beside the card")
    parser.add_argument("--pictures", type=Path, default=_DOCS, help="folder of the pictures; default: docs")
    parser.add_argument(
        "--folds", type=Path, nargs=FOLDS, metavar="WEIGHTS", help="five networks, each trained without its fold"
    )
    parser.add_argument(
        "--confidence",
        type=Path,
        help="lines that calibrate chose; default: sure is what a run with these weights says",
    )
    parser.add_argument("--quick", action="store_true", help="do not run the tiles as slides; not for a card")
    given = parser.parse_args()
    if given.quick and given.card:
        parser.error("a card is of tiles run as slides: leave --quick out")
    if given.card is None and given.json is None:
        parser.error("give --card or --json")
    given.json = given.json or given.card.with_name("figures.json")
    return given


def main() -> None:
    """Run the command."""
    given = _arguments()
    lines = lines_of(given.confidence, given.weights) if given.confidence else None
    selection = Selection(given.data, given.settings)
    kept = selection.held_out()
    log_look("card", given.weights, kept, given.settings.with_name(LOG_NAME))
    began = time.perf_counter()
    with finder(given.weights, given.quick, lines) as find:
        scores, refused = scores_of(find, kept)
        normal = (tile for tile in kept if tile.set_name in selection.normal)
        wrong, _ = scores_of(find, (scaled(tile, tile.mpp * _WRONG_SCALE) for tile in normal))
        calibrated, _ = scores_of(find, selection.calibration())
        looks = compare_looks(find, selection)
        skin = skin_of(find, given.data)
    of_folds = []
    for number, weights in enumerate(given.folds or ()):
        with finder(weights, given.quick, lines) as find:
            of_folds.append(scores_of(find, selection.fold(number))[0])
    every = [*scores, *(one for fold in of_folds for one in fold)]
    content = figures_of(every, wrong, given.weights)
    content |= {"looks": looks, "calibration": calibration_of(calibrated, every, lines)}
    content |= {"skin": skin} if skin is not None else {}
    content |= {"folds": folds_of(of_folds)} if of_folds else {}
    content |= {"as_slides": not given.quick, "refused": refused, "seconds": round(time.perf_counter() - began)}
    write_figures(content, given.json)
    of_classes = by_set(one for one in every if tells_classes(one.tile))
    draw_reliability(of_classes, given.pictures / "mini_reliability.svg")
    draw_precision_recall(of_classes, given.pictures / "mini_precision_recall.svg")
    draw_failures(
        [one for one in scores if one.tile.set_name in selection.normal], given.pictures / "mini_failures.jpg"
    )
    if given.card:
        write_card(content, given.card)
    print_figures("Without runs" if given.quick else "Run as slides", content)


Lines = Mapping[str, float | None]


def lines_of(confidence: Path, weights: Path) -> Lines:
    """Read the lines that were chosen for these weights.

    Raises
    ------
    SystemExit
        If they were chosen for others.
    """
    content = json.loads(confidence.read_text(encoding="utf-8"))
    if content["weights_sha256"] != file_sha256(weights):
        raise SystemExit(
            f"The lines of {confidence.name} were chosen for other weights than {weights.name}. "
            "Choose them again: python -m workflows.train_mini.calibrate"
        )
    lines: Lines = content["lines"]
    return lines


@contextmanager
def finder(weights: Path, quick: bool, lines: Lines | None = None) -> Iterator[Finder]:
    """Give what finds nuclei: the product's run of a tile as a slide, or a quick look without a run."""
    with ExitStack() as stack:
        if quick:
            find: Finder = partial(found_by, fuse(load_network(weights)).to(choose_device("auto")))
            lines = confidence_of(weights).lines if lines is None else lines
        else:
            find = stack.enter_context(AsSlides(weights))
        yield find if lines is None else lambda tile: with_lines(find(tile), lines)


def calibration_of(calibrated: Sequence[Scores], held_out: Sequence[Scores], lines: Lines | None) -> dict[str, Any]:
    """Return the lines with what was seen on calibration groups, and how often sure classes are right elsewhere.

    Without lines, they are chosen here.
    """
    chosen = choose_lines(calibrated) if lines is None else judge(calibrated, lines)
    used = {name: one.line for name, one in chosen.items()}
    of_classes = [one for one in held_out if tells_classes(one.tile)]
    return {"chosen": {name: one._asdict() for name, one in chosen.items()}, "reached": reached(of_classes, used)}


if __name__ == "__main__":
    main()
