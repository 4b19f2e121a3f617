"""Train the embedded model: from raw tiles to weights, their figures, and the tables of the model card."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from workflows.train_mini.card import measure_all, write_figures
from workflows.train_mini.checks import check
from workflows.train_mini.crops import Source, source_of
from workflows.train_mini.curves import draw_curves
from workflows.train_mini.failures import draw_failures
from workflows.train_mini.loop import train
from workflows.train_mini.measure import found_by, score
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.splits import FOLDS, Use, read_splits, uses
from workflows.train_mini.tables import print_figures
from workflows.train_mini.taught import taught
from workflows.train_mini.tiles import Tile, described, sha256_of
from wsi_parse.files import file_sha256, write_text
from wsi_parse.models.device import choose_device
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.weights import load_network, save_network

_SETTINGS = Path(__file__).with_name("train.yaml")


def main() -> None:
    """Run the command."""
    given = _arguments()
    settings = TrainingSettings.load(given.settings, seed=given.seed, steps=given.steps)
    start = EMBEDDED if given.start == "embedded" else given.start and Path(given.start)
    settings_note = {"start": start and file_sha256(start), **settings.model_dump(mode="json")}
    _claim(given.out / "settings.json", settings_note, "settings")
    learnt, kept, summary = split(settings, given.data, given.settings.parent, given.fold)
    _claim(given.out / "data.json", summary, "tiles")
    weights = given.out / "mini.safetensors"
    if not weights.exists():
        network = train(learnt, settings, given.out, start, given.stop_after)
        if network is None:
            return
        save_network(network, weights)
    draw_curves(given.out / "curve.jsonl", given.out / "curve.png")
    device = choose_device("auto")
    network = fuse(load_network(weights)).to(device)
    normal = [name for name, one in settings.sets.items() if one.normal]
    figures = measure_all(partial(found_by, network), kept, normal, weights)
    print_figures("After", figures)
    if start:
        figures["before"] = measure_all(partial(found_by, fuse(load_network(start)).to(device)), kept, normal, start)
        print_figures("Before, with the initial weights", figures["before"])
    write_figures(figures, given.out / "figures.json")
    draw_failures([score(network, tile) for tile in kept if tile.set_name in normal], given.out / "failures.jpg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder of the results; an interrupted training continues there"
    )
    parser.add_argument("--settings", type=Path, default=_SETTINGS, help="YAML file; default: train.yaml")
    parser.add_argument("--seed", type=int, help="replaces the seed of the settings")
    parser.add_argument("--steps", type=int, help="replaces the steps of the settings")
    parser.add_argument(
        "--fold", type=int, choices=range(FOLDS), help="fold of splits.csv that is held out; default: none"
    )
    parser.add_argument("--start", help="initial weights: a file, or embedded")
    parser.add_argument("--stop-after", type=int, help="stop at this step; the same command continues from there")
    return parser.parse_args()


def _claim(note: Path, content: dict[str, Any], what: str) -> None:
    """Note what a folder is trained with; refuse a training with anything else."""
    note.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1) + "\n"
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{note.parent} holds a training with other {what}. Choose another folder.")
    write_text(note, text)


def split(
    settings: TrainingSettings, data: Path, beside: Path, fold: int | None = None
) -> tuple[list[Source], list[Tile], dict[str, Any]]:
    """Read and check all sets; return training sources, held-out tiles, and a summary of the split.

    Parameters
    ----------
    settings : TrainingSettings
    data : Path
        Folder of the sets.
    beside : Path
        Folder of the settings, in which the table of splits lies.
    fold : int or None
        Fold that is held out.
    """
    roles = read_splits(beside / settings.splits) if settings.splits else {}
    learnt: list[Source] = []
    kept: list[Tile] = []
    summary: dict[str, Any] = {}
    for name, of_set in settings.sets.items():
        tiles = read_set(name, of_set, data)
        print(described(tiles))
        check(tiles)
        used = uses(tiles, of_set, roles, fold)
        training = [tile for tile in tiles if used[tile.group] == Use.LEARNT and of_set.share]
        summary[name] = {str(use): sorted(group for group in used if used[group] == use) for use in Use}
        summary[name] |= {"sha256": sha256_of(tiles)}
        training = [taught(tile, of_set) for tile in training]
        kept += [tile for tile in tiles if used[tile.group] == Use.HELD_OUT]
        drawn = [of_set.oversample.get(tile.group, 1.0) * tile.nuclei.size for tile in training]
        shares = [of_set.share * part / sum(drawn) for part in drawn]
        learnt += [source_of(tile, share, of_set) for tile, share in zip(training, shares, strict=True)]
    if not learnt:
        raise SystemExit(
            "There is nothing to learn from: no set has a share, or all groups are held out. "
            "If there is a single group, set held_out_every: 0; nothing is measured then."
        )
    return learnt, kept, summary


if __name__ == "__main__":
    main()
