"""Commands about weights: getting them, and verifying them."""

import json
from pathlib import Path

import typer
from rich.console import Console

from wsi_parse.models.contract import ModelSpec, Segmenter
from wsi_parse.registry import MODELS


def get_weights(name: str, file: Path | None, revision: str) -> None:
    """Download (or take a file), check, convert and install."""
    model: type[Segmenter] = MODELS.get(name)
    spec = model.spec
    console = Console(stderr=True)
    console.print(
        f"{spec.name}: {spec.summary}\nLicence {spec.licence}; {spec.purpose}.", highlight=False, soft_wrap=True
    )
    size = f" ({spec.download})" if spec.download else ""
    with console.status("Checking and converting …" if file else f"Downloading{size}, checking and converting …"):
        weights = model.install(file, revision)
    console.print(
        f"Installed in {weights.folder}\nsha256 {weights.sha256}"
        + (f" · revision {weights.revision}" if weights.revision else ""),
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Next: wsi-parse models verify {name}", highlight=False)


def verify_weights(
    name: str, file: Path | None, labelled: Path | None, prompt: str, mpp: float, *, as_json: bool
) -> None:
    """Check keys and hash, predict a picture, measure Dice on labelled tiles."""
    spec: ModelSpec = MODELS.get(name).spec
    from wsi_parse.evaluate.verify import verify

    facts = verify(name, file, labelled, prompt, mpp)
    if as_json:
        typer.echo(json.dumps({**facts, "licence": spec.licence, "purpose": spec.purpose}))
        return
    console = Console()
    console.print("All names and shapes are as they must be, and the file is what was installed.", highlight=False)
    for key, value in facts.items():
        told = "not known" if value is None else f"{value:,}" if isinstance(value, int) else value
        console.print(f"  {key.replace('_', ' '):<28} {told}", highlight=False, soft_wrap=True)
    if "dice_mean" in facts and spec.published:
        console.print(spec.published, highlight=False)
    console.print(f"{spec.licence}; {spec.purpose}.", highlight=False)
