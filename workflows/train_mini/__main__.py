"""Train the embedded model: from raw tiles to weights, their figures, and the tables of the model card."""

import argparse
import json
from pathlib import Path
from typing import Any

from workflows.train_mini.card import measure_all, print_figures, write_card, write_figures
from workflows.train_mini.checks import check
from workflows.train_mini.crops import Source, source_of
from workflows.train_mini.curves import draw_curves
from workflows.train_mini.failures import draw_failures
from workflows.train_mini.loop import train
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import Tile, described, guessed, held_out, sha256_of
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
    begun = {"start": start and file_sha256(start), **settings.model_dump(mode="json")}
    _claim(given.out / "settings.json", begun, "settings")
    learnt, kept, told = split(settings, given.data)
    _claim(given.out / "data.json", told, "tiles")
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
    figures = measure_all(network, kept, normal, weights)
    print_figures("After", figures)
    if start:
        figures["before"] = measure_all(fuse(load_network(start)).to(device), kept, normal, start)
        print_figures("Before, with the weights it began with", figures["before"])
    write_figures(figures, given.out / "figures.json")
    draw_failures(network, [tile for tile in kept if settings.sets[tile.set_name].normal], given.out / "failures.jpg")
    if given.card:
        write_card(figures, given.card)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the results; goes on where it stopped")
    parser.add_argument("--settings", type=Path, default=_SETTINGS, help="YAML; default: train.yaml, as shipped")
    parser.add_argument("--seed", type=int, help="in place of the one in the settings")
    parser.add_argument("--steps", type=int, help="in place of those in the settings")
    parser.add_argument("--start", help="weights to go on from: a file, or embedded")
    parser.add_argument("--stop-after", type=int, help="stop at this step; the same command goes on from there")
    parser.add_argument("--card", type=Path, help="model card whose tables are to be written anew")
    return parser.parse_args()


def _claim(note: Path, told: dict[str, Any], what: str) -> None:
    """Note what a folder's training is of; refuse one of something else."""
    note.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(told, indent=1) + "\n"
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{note.parent} holds a training with other {what}: choose another folder.")
    write_text(note, text)


def split(settings: TrainingSettings, data: Path) -> tuple[list[Source], list[Tile], dict[str, Any]]:
    """Read and check all sets: what is learnt from, what never is, and which that was, to be told again."""
    learnt: list[Source] = []
    kept: list[Tile] = []
    told: dict[str, Any] = {}
    for name, of_set in settings.sets.items():
        tiles = read_set(name, of_set, data)
        print(described(tiles))
        check(tiles)
        out = held_out(tiles, of_set)
        ours = [tile for tile in tiles if tile.group not in out]
        learnt_groups = sorted({tile.group for tile in ours})
        told[name] = {"learnt": learnt_groups, "held_out": sorted(out), "sha256": sha256_of(tiles)}
        if of_set.guess_classes:
            ours = [guessed(tile, of_set) for tile in ours]
        kept += [tile for tile in tiles if tile.group in out]
        drawn = [of_set.oversample.get(tile.group, 1.0) * tile.nuclei.size for tile in ours]
        shares = [of_set.share * part / sum(drawn) for part in drawn]
        learnt += [source_of(tile, share, of_set.scale) for tile, share in zip(ours, shares, strict=True)]
    if not learnt:
        raise SystemExit(
            "Nothing to learn from: no set has a share, or all groups are held out. With a single group say "
            "held_out_every: 0; nothing is measured then."
        )
    return learnt, kept, told


if __name__ == "__main__":
    main()
