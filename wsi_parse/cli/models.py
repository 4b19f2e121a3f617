"""The models commands: list the models, show one, get its weights, verify them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from wsi_parse.cli.common import add_command, with_common
from wsi_parse.cli.help import COMPUTE, MODEL, OBJECTS, OUTPUT, SLIDE, CommandGroup
from wsi_parse.cli.mistakes import check_command
from wsi_parse.cli.options import Json, Weights
from wsi_parse.cli.terminal import messages, safe
from wsi_parse.registry import MODELS, plugin_named

if TYPE_CHECKING:
    from wsi_parse.models.weights import Weights as InstalledWeights
    from wsi_parse.settings import ModelSettings


class DefaultToShow(CommandGroup):
    """`wsi-parse models NAME` means `wsi-parse models show NAME`."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Refuse a mistyped command, which would be taken for a model."""
        first = self.first_word(ctx, args)
        if first < len(args) and args[first] not in {*self.commands, *MODELS.names()}:
            check_command(args[first], self.commands)
        return super().parse_args(ctx, args)


models = typer.Typer(cls=DefaultToShow, invoke_without_command=True)

_AnyModel = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a model; wsi-parse models lists them.", show_default=False)
]
_ModelWithWeights = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a model that needs weights.", show_default=False)
]


@models.callback()
@with_common
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the models with the objects that they find and their licences; get and verify weights.

    Without a command, all models are listed; with the name of a model, its card is shown.

    Examples
    --------
    wsi-parse models
        List all models, and which of them are installed.
    wsi-parse models mini
        Show the card of a model: training data, accuracy, known failures.
    wsi-parse models get biomedparse
        Download and install the weights of a model.
    """
    if context.invoked_subcommand is not None:
        return
    models, warnings = MODELS.usable()
    for warning in warnings:
        typer.echo(warning, err=True)
    if as_json:
        typer.echo(json.dumps([_facts(name) for name in models]))
        return
    console = Console()
    for name in models:
        console.print(_summary(name))


def show_model(name: _AnyModel, as_json: Json = False) -> None:
    """Show one model: its training data, its accuracy, and its known failures.

    Examples
    --------
    wsi-parse models show mini
        Show the card of a model.
    wsi-parse models mini
        The same in short.
    wsi-parse models show biomedparse --json
        Print it as JSON, with the prompts that it knows and the hash of its weights.
    """
    with plugin_named("model", name):
        card = MODELS.get(name).card()
    if as_json:
        typer.echo(json.dumps({**_facts(name), "card": card}))
        return
    console = Console()
    console.print(_summary(name))
    if card:
        console.print(f"\n{card}", highlight=False, markup=False)


def get_weights(
    name: _ModelWithWeights,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from", rich_help_panel=MODEL, metavar="FILE", help="Use this checkpoint instead of a download."
        ),
    ] = None,
    revision: Annotated[
        str,
        typer.Option(
            "--revision", rich_help_panel=MODEL, metavar="NAME", help="Branch, tag or commit of the repository."
        ),
    ] = "main",
) -> None:
    """Download the weights of a model, check them, and install them.

    Examples
    --------
    wsi-parse models get biomedparse
        Download the weights; the licence must have been accepted on Hugging Face.
    wsi-parse models get biomedparse --from biomedparse_v1.pt
        Install a file that you already have.
    WSI_PARSE_CACHE=/scratch/models wsi-parse models get biomedparse
        Install into another folder; runs need the same variable.
    """
    model = MODELS.get(name)
    spec, console = model.spec, Console(stderr=True)
    console.print(
        f"{spec.name}: {spec.summary}\nLicence {spec.licence}; {spec.purpose}.", highlight=False, soft_wrap=True
    )
    size = f" ({spec.download})" if spec.download else ""
    doing = "Checking and converting …" if file else f"Downloading{size}, checking and converting …"
    with console.status(doing), plugin_named("model", name):
        weights = model.install(file, revision)
    console.print(
        f"Installed in {weights.folder}\nsha256 {weights.sha256}"
        + (f" · revision {weights.revision}" if weights.revision else ""),
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Next: wsi-parse models verify {name} -o verification", highlight=False)


def verify_weights(
    name: _ModelWithWeights,
    weights: Weights = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            "--labelled",
            rich_help_panel=MODEL,
            metavar="FOLDER",
            help="Folder with tiles in images/ and masks in masks/: images/a.png and masks/a.png belong together.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            "-p",
            rich_help_panel=OBJECTS,
            metavar="TEXT",
            help="Name of the objects that the masks show. Without it, the first target that the model knows.",
        ),
    ] = None,
    mpp: Annotated[
        float,
        typer.Option(
            "--mpp", rich_help_panel=SLIDE, metavar="µm", min=0.01, help="Microns per pixel of the labelled tiles."
        ),
    ] = 0.25,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            rich_help_panel=OUTPUT,
            metavar="FOLDER",
            help="Also time the model, process one slide, and write all of it to verification.json and "
            "verification.html in this folder.",
        ),
    ] = None,
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slide",
            rich_help_panel=SLIDE,
            metavar="FILE",
            help="With --out: a slide, of which a square of tissue is processed. Without it, a painted one.",
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option("--minutes", rich_help_panel=COMPUTE, metavar="MIN", min=0.1, help="With --out: for all of it."),
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Check weights: names of the tensors, hash, one prediction, Dice on labelled tiles; with --out also a slide.

    Examples
    --------
    wsi-parse models verify biomedparse
        Check the installed weights, and predict once.
    wsi-parse models verify biomedparse -o out --labelled tiles --slide a.svs
        Check everything within 30 minutes, and write a JSON and a page to send back.
    wsi-parse models verify mini --weights own.safetensors
        Check a file of weights that is not installed.
    """
    if out is not None:
        from wsi_parse.settings import ModelSettings

        _report(
            ModelSettings(name=name, weights=weights),
            out,
            as_json,
            text=prompt,
            labelled=labelled,
            mpp_um=mpp,
            slide=slide,
            minutes=minutes,
        )
        return
    from wsi_parse.evaluate.verify_model import verify

    spec = MODELS.get(name).spec
    facts = verify(name, weights, labelled, prompt, mpp)
    if as_json:
        typer.echo(json.dumps({**facts, "licence": spec.licence, "purpose": spec.purpose}))
        return
    console = Console()
    console.print("The weights are complete, and the file is the one that was installed.", highlight=False)
    for key, value in facts.items():
        text = "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value
        console.print(f"  {key.replace('_', ' '):<28} {text}", highlight=False, soft_wrap=True)
    if "dice_mean" in facts and spec.published:
        console.print(spec.published, highlight=False)
    console.print(f"{spec.licence}; {spec.purpose}.", highlight=False)


def _report(settings: "ModelSettings", out: Path, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - see the function
    """Verify everything, and say in one line for each step how it went."""
    from wsi_parse.verification import verify_and_report

    with messages().status("Verifying …") as status:
        found = verify_and_report(settings, out, tell=lambda doing: status.update(f"{doing} …"), **asked)
    if as_json:
        typer.echo(json.dumps(found.facts))
    else:
        console = Console()
        for line in (*found.facts.get("kept", ()), *found.summary()):
            console.print(safe(line), highlight=False, soft_wrap=True)
        console.print(f"Send back verification.json and verification.html of {safe(out)}.", highlight=False)
    if found.failed:
        raise typer.Exit(1)


add_command(models, show_model, "show")
add_command(models, get_weights, "get")
add_command(models, verify_weights, "verify")


def _facts(name: str) -> dict[str, Any]:
    from wsi_parse.run.provenance import model_provenance

    spec, (weights, missing) = MODELS.get(name).spec, _installed(name)
    return {**model_provenance(spec, weights), "prompts": list(spec.prompts), "missing": missing or None}


def _summary(name: str) -> Table:
    spec, (weights, missing) = MODELS.get(name).spec, _installed(name)
    finds = ", ".join(spec.prompts) + (", and free text" if spec.free_text else "")
    state = missing or (f"installed, sha256 {weights.sha256[:12]}…" if weights else "none needed")
    table = Table(title=f"[bold]{spec.name}[/bold]", title_justify="left", show_header=False, box=None)
    for title, text in (
        ("", spec.summary),
        ("finds", finds),
        ("licence", f"{spec.licence}; {spec.purpose}"),
        ("weights", state),
    ):
        table.add_row(title, text)
    return table


def _installed(name: str) -> "tuple[InstalledWeights | None, str]":
    """Return the weights of a model, or the reason why there are none."""
    from wsi_parse.errors import WeightsError
    from wsi_parse.settings import ModelSettings

    try:
        with plugin_named("model", name):
            return MODELS.get(name).find_weights(ModelSettings()), ""
    except WeightsError as error:
        return None, str(error)
