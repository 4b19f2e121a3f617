"""What `make bench` measures again and again: commands, and where their figures stand in what they print."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure of one round.

    Parameters
    ----------
    what : str
        The same in every round.
    value : float
    unit : str
    to_limit : float or None
        Ratio to the least time, or share of the highest rate, that is possible here, measured in the same process.
    outputs : str or None
        sha256 of what was made while the time was taken.
    peak_mb : float or None
        None: that of the command with all its processes.
    """

    what: str
    value: float
    unit: str
    to_limit: float | None
    outputs: str | None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Measure:
    """A command that prints JSON, one object a line.

    Parameters
    ----------
    module : str
        In `benchmarks`.
    arguments, small : tuple of str
        Its arguments, and those for a test.
    read : callable
        Takes all objects that it printed.
    limit : str
        What the ratio is taken to.
    """

    module: str
    arguments: tuple[str, ...]
    small: tuple[str, ...]
    read: Callable[[list[dict[str, Any]]], list[Figure]]
    limit: str


def printed_objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects among the lines of a text."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _reading(objects: list[dict[str, Any]]) -> list[Figure]:
    (found,) = objects
    return [
        Figure(
            f"reading blocks {scale} times coarser",
            found["mpx_per_second"][f"wsi-parse, blocks, {float(scale):g} times coarser"],
            "Mpx/s",
            share,
            found["outputs_sha256"][scale],
            found["peak_mb"],
        )
        for scale, share in found["shares"].items()
    ]


def _stages(objects: list[dict[str, Any]]) -> list[Figure]:
    return [
        Figure(
            f"a run around {one['model']}, {one['slide']}, CPU",
            one["total_s"],
            "s",
            one["ratio"],
            one["outputs_sha256"],
            one["peak_mb"],
        )
        for one in objects
    ]


def _objects(objects: list[dict[str, Any]]) -> list[Figure]:
    return [
        Figure(
            f"blend, outline, measure, write; {one['side_px']:,} px, {one['workers'] or 'no'} processes",
            one["objects_per_second"],
            "objects/s",
            None,
            one["outputs_sha256"],
            one["peak_mb"],
        )
        for one in objects
    ]


def _exporters(objects: list[dict[str, Any]]) -> list[Figure]:
    return [
        Figure(
            f"writing {one['file']}, {one['objects']:,} cells",
            one["objects_per_second"],
            "objects/s",
            None,
            one["outputs_sha256"],
            one["peak_mb"],
        )
        for one in objects[0]["rows"]
    ]


def _startup(objects: list[dict[str, Any]]) -> list[Figure]:
    return [Figure(one["what"], one["cpu_s"], "s", one["times_limit"], one["outputs_sha256"]) for one in objects]


def _beside_network(objects: list[dict[str, Any]]) -> list[Figure]:
    (found,) = objects
    what = f"a run of mini beside its network, {found['slide']}, CPU"
    return [Figure(what, found["beside_cpu_s"], "s", None, found["outputs_sha256"])]


def _mini(objects: list[dict[str, Any]]) -> list[Figure]:
    return [
        Figure(
            f"mini, one tile, {one['precision']}", one["seconds"], "s", one["times_floor"], one["outputs_sha256"], None
        )
        for one in objects
    ]


def _biomedparse(objects: list[dict[str, Any]]) -> list[Figure]:
    (found,) = objects
    what = "BiomedParse, one tile, float32"
    return [Figure(what, found["seconds"], "s", found["times_floor"], found["outputs_sha256"])]


_DECODING = "decoding each stored tile once"
_PRODUCT = "the operations of the network at the rate of a matrix product"
_NONE = "none is known"
MEASURES = (
    Measure("startup", (), (), _startup, "Python that starts and does nothing"),
    Measure("reading", ("--json",), ("--json", "--side", "1500"), _reading, _DECODING),
    Measure(
        "stages",
        ("--json", "--tile", "512"),
        ("--json", "--tile", "512", "--side", "3000", "--model", "zeros-half"),
        _stages,
        _DECODING,
    ),
    Measure("objects", ("--json",), ("--json", "--side", "1500"), _objects, _NONE),
    Measure("exporters", ("--json", "200000"), ("--json", "500"), _exporters, _NONE),
    Measure("beside_network", ("--rounds", "1"), ("--rounds", "1", "--painted", "1000"), _beside_network, _NONE),
    Measure("mini", ("--json",), ("--json",), _mini, _PRODUCT),
    Measure("biomedparse", ("--json",), ("--json",), _biomedparse, _PRODUCT),
)
