"""Commands about weights: getting them, and verifying them."""

import json
from pathlib import Path

import typer
from rich.console import Console

from wsi_parse.errors import UsageError
from wsi_parse.models.contract import ModelSpec
from wsi_parse.registry import MODELS

_WITH_WEIGHTS = ("biomedparse",)


def _spec(name: str) -> ModelSpec:
    spec: ModelSpec = MODELS.get(name).spec
    if name not in _WITH_WEIGHTS:
        raise UsageError(
            f"{name} needs nothing from elsewhere: there is nothing to get or verify.",
            f"These do: {', '.join(_WITH_WEIGHTS)}.",
        )
    return spec


def get_weights(name: str, file: Path | None, revision: str) -> None:
    """Download (or take a file), check, convert and install."""
    spec = _spec(name)
    console = Console(stderr=True)
    console.print(
        f"{spec.name}: {spec.summary}\nLicence {spec.licence}; {spec.purpose}.", highlight=False, soft_wrap=True
    )
    from wsi_parse.models.biomedparse.install import install_download, install_file

    with console.status("Checking and converting …" if file else "Downloading (1.8 GB), checking and converting …"):
        weights = install_file(file, spec) if file else install_download(spec, revision)
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
    spec = _spec(name)
    from wsi_parse.evaluate.verify import verify

    facts = verify(file, labelled, prompt, mpp)
    if as_json:
        typer.echo(json.dumps({**facts, "licence": spec.licence, "purpose": spec.purpose}))
        return
    console = Console()
    console.print("All names and shapes are as they must be, and the file is what was installed.", highlight=False)
    for key, value in facts.items():
        told = "not known" if value is None else f"{value:,}" if isinstance(value, int) else value
        console.print(f"  {key.replace('_', ' '):<28} {told}", highlight=False, soft_wrap=True)
    if "dice_mean" in facts:
        console.print("The authors report mean / median Dice of .745 / .826 for neoplastic cells.", highlight=False)
    console.print(f"{spec.licence}; {spec.purpose}.", highlight=False)
