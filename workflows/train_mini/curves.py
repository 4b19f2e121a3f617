"""Draws the learning curves of a training."""

import json
from pathlib import Path

from matplotlib.figure import Figure


def draw_curves(log: Path, path: Path) -> None:
    """Draw each part of the loss over the steps.

    Parameters
    ----------
    log : Path
        `curve.jsonl` of the training.
    path : Path
        A PNG.
    """
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = Figure((8, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = [line["step"] for line in lines]
    for name in lines[0]:
        if name not in {"step", "seconds_per_step"}:
            axes.plot(steps, [line[name] for line in lines], label=name, linewidth=2.0 if name == "loss" else 1.0)
    axes.set(xlabel="step", ylabel="loss, weighted", yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(ncols=3, fontsize="small")
    figure.savefig(path, dpi=110)
