"""Train the embedded model: from raw tiles to weights, their figures, and the tables of the model card."""

import argparse
import json
from pathlib import Path

import torch

from workflows.train_mini.card import measure_all, write_card, write_figures
from workflows.train_mini.checks import check
from workflows.train_mini.crops import Source, source_of
from workflows.train_mini.curves import draw_curves
from workflows.train_mini.failures import draw_failures
from workflows.train_mini.loop import train
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import Tile, guessed, held_out
from wsi_parse.files import write_text
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.mini.network import fused
from wsi_parse.models.mini.weights import load_network, save_network

_SETTINGS = Path(__file__).with_name("train.yaml")


def main() -> None:
    """Run the command."""
    given = _arguments()
    settings = TrainingSettings.load(given.settings, seed=given.seed, steps=given.steps)
    _claim(given.out, settings, given.start)
    learnt, kept = split(settings, given.data)
    weights = given.out / "mini.safetensors"
    if not weights.exists():
        start = EMBEDDED if given.start == "embedded" else given.start and Path(given.start)
        network = train(learnt, settings, given.out, start, given.stop_after)
        if network is None:
            return
        save_network(network, weights)
    draw_curves(given.out / "curve.jsonl", given.out / "curve.png")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = fused(load_network(weights)).to(device)
    figures = measure_all(network, kept, [name for name, one in settings.sets.items() if one.normal], weights)
    unseen = [tile for tile in kept if settings.sets[tile.set_name].normal]
    if unseen:
        draw_failures(network, unseen, given.out / "failures.jpg")
    write_figures(figures, given.out / "figures.json")
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


def _claim(out: Path, settings: TrainingSettings, start: str | None) -> None:
    """Note whose folder it is; refuse one of other settings."""
    out.mkdir(parents=True, exist_ok=True)
    note = out / "settings.json"
    told = json.dumps({"start": start, **settings.model_dump(mode="json")}, indent=1) + "\n"
    if note.exists() and note.read_text(encoding="utf-8") != told:
        raise SystemExit(f"{out} holds a training with other settings: choose another folder.")
    write_text(note, told)


def split(settings: TrainingSettings, data: Path) -> tuple[list[Source], list[Tile]]:
    """Read and check all sets: what is learnt from, and what never is."""
    learnt: list[Source] = []
    kept: list[Tile] = []
    for name, of_set in settings.sets.items():
        tiles = read_set(name, of_set, data)
        check(tiles)
        out = held_out(tiles, of_set)
        ours = [tile for tile in tiles if tile.group not in out]
        if of_set.guess_classes:
            ours = [guessed(tile, normal=of_set.normal) for tile in ours]
        kept += [tile for tile in tiles if tile.group in out]
        drawn = [of_set.oversample.get(tile.group, 1.0) * tile.nuclei.size for tile in ours]
        learnt += [source_of(tile, of_set.share * part / sum(drawn)) for tile, part in zip(ours, drawn, strict=True)]
    if not learnt:
        raise SystemExit("Nothing to learn from: no set has a share, or all groups are held out.")
    return learnt, kept


if __name__ == "__main__":
    main()
