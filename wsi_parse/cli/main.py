"""wsi-parse: the commands. Libraries are imported when a command runs, so that --help answers at once."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from wsi_parse._version import __version__
from wsi_parse.errors import UsageError, WsiParseError

_RESULT = """
Results: OUT/SLIDE/annotations.geojson (drag it onto the slide in QuPath), objects.parquet, overlay.png,
tissue.geojson, run.json. Research use only, not for clinical decisions.
"""


class DefaultToRun(TyperGroup):
    """`wsi-parse SLIDE …` means `wsi-parse run SLIDE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Put "run" in front of anything that is not a command."""
        if args and args[0] not in {*self.commands, "--help", "--version"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultToRun,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="""Words and a slide in, polygons for QuPath out.

    wsi-parse SLIDE --prompt "nuclei"

    Without a command's name, run is meant: see wsi-parse run --help for its options.""",
    epilog=_RESULT,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsi-parse {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


Slides = Annotated[list[Path], typer.Argument(help="Slides, or folders of slides.", show_default=False)]
OneSlide = Annotated[Path, typer.Argument(help="A slide.", show_default=False)]
Mpp = Annotated[float | None, typer.Option("--mpp", help="Microns per pixel, where the file does not tell.")]
Override = Annotated[bool, typer.Option("--override-mpp", help="Believe --mpp also where the file disagrees.")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file of settings.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Its weights; else those installed.")]
Organ = Annotated[str | None, typer.Option("--organ", help="Where the tissue is from: breast, colon, …")]
FieldUm = Annotated[float | None, typer.Option("--field-um", help="Microns that a tile covers.")]
Prompts = Annotated[
    list[str] | None, typer.Option("--prompt", "-p", help='What to look for; may be repeated; "all": what is known.')
]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value; see wsi-parse settings.")]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", help="What to write instead of geojson and parquet; may be repeated: dicom, ome-zarr, …"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command(epilog=_RESULT)
def run(
    slides: Slides,
    prompt: Prompts = None,
    model: Annotated[str | None, typer.Option("--model", help="See wsi-parse models.")] = None,
    weights: Weights = None,
    organ: Organ = None,
    field_um: FieldUm = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("wsi-parse-out"),
    mpp: Mpp = None,
    override_mpp: Override = False,
    roi: Annotated[Path | None, typer.Option("--roi", help="GeoJSON; look only inside its polygons.")] = None,
    cells: Annotated[
        float | None, typer.Option("--cells", metavar="UM", help="Grow nuclei by so many microns to cells.")
    ] = None,
    frame: Annotated[
        str | None, typer.Option("--frame", help="qupath: count from the slide's bounds, as it does; or level0.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; 0: threads of this one.")] = None,
    formats: Formats = None,
    config: Config = None,
    settings: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Segment slides (the default command)."""
    from wsi_parse.cli.run import run_slides
    from wsi_parse.settings import RunSettings

    chosen = RunSettings.load(
        config,
        settings or (),
        prompts=tuple(prompt or ()),
        slide={"mpp": mpp, "override_mpp": override_mpp or None, "roi": roi},
        model={"name": model, "weights": weights, "organ": organ, "field_um": field_um},
        objects={"cell_expansion_um": cells},
        export={"frame": frame, "formats": tuple(formats) if formats else None},
        compute={"workers": workers},
    )
    raise typer.Exit(run_slides(slides, out, chosen, dry_run=dry_run, as_json=as_json))


@app.command()
def cohort(
    slides: Annotated[
        list[str],
        typer.Argument(help="Folders, globs, or lists (.csv, .tsv, .parquet) of slides.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")],
    prompt: Prompts = None,
    model: Annotated[str | None, typer.Option("--model", help="See wsi-parse models.")] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="local, slurm, pbs, lsf, or tcp://SCHEDULER:PORT.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes here, or jobs of the cluster.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Id of a slide; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many; 0: only the tables.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also those that failed before.")] = False,
    config: Config = None,
    settings: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say tiles, hours and disk, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Segment many slides: a folder each, one table, and what fails stops nothing else.

    A list has a column path, and may have id, mpp, organ, prompts (parted by ;), roi and group. The same command
    goes on where it was interrupted. Several may work in one folder at once.
    """
    from wsi_parse.cli.cohort import do_cohort
    from wsi_parse.cohort import Choice
    from wsi_parse.settings import RunSettings

    common = RunSettings.load(
        config,
        settings or (),
        prompts=tuple(prompt or ()),
        model={"name": model},
        compute={"cluster": cluster, "workers": workers},
    )
    choice = Choice(tuple(only or ()), limit, retry_failed)
    raise typer.Exit(do_cohort(slides, out, common, choice, dry_run=dry_run, as_json=as_json))


@app.command()
def info(slide: OneSlide, mpp: Mpp = None, override_mpp: Override = False, as_json: Json = False) -> None:
    """Show what is known of a slide."""
    from wsi_parse.cli.show import show_slide

    show_slide(slide, mpp, override_mpp=override_mpp, as_json=as_json)


@app.command()
def preview(
    slide: OneSlide,
    prompt: Annotated[list[str] | None, typer.Option("--prompt", "-p", help="What would be looked for.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="See wsi-parse models.")] = None,
    weights: Weights = None,
    organ: Organ = None,
    field_um: FieldUm = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("wsi-parse-out"),
    mpp: Mpp = None,
    override_mpp: Override = False,
    roi: Annotated[Path | None, typer.Option("--roi", help="GeoJSON; look only inside its polygons.")] = None,
    config: Config = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Draw tissue and tiles as a picture, and say how many tiles and how long; runs no model."""
    from wsi_parse.cli.show import show_preview
    from wsi_parse.settings import RunSettings

    chosen = RunSettings.load(
        config,
        settings or (),
        prompts=tuple(prompt or ("nuclei",)),
        slide={"mpp": mpp, "override_mpp": override_mpp or None, "roi": roi},
        model={"name": model, "weights": weights, "organ": organ, "field_um": field_um},
    )
    show_preview(slide, out, chosen, as_json=as_json)


models = typer.Typer(help="List the models; get and verify their weights.", invoke_without_command=True)
app.add_typer(models, name="models")
ModelName = Annotated[str, typer.Argument(help="A model that has weights: biomedparse.", show_default=False)]


@models.callback()
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the models, what they know, and their licences."""
    from wsi_parse.cli.show import show_models

    if context.invoked_subcommand is None:
        show_models(as_json=as_json)


@models.command("show")
def show_one(
    name: Annotated[str, typer.Argument(help="See wsi-parse models.", show_default=False)], as_json: Json = False
) -> None:
    """Show what is known of a model: what it learnt from, how well it does, where it fails."""
    from wsi_parse.cli.show import show_model

    show_model(name, as_json=as_json)


@models.command("get")
def get_model(
    name: ModelName,
    file: Annotated[Path | None, typer.Option("--from", help="A checkpoint that is downloaded already.")] = None,
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit of the repository.")] = "main",
) -> None:
    """Download the weights of a model, check them, and install them."""
    from wsi_parse.cli.weights import get_weights

    get_weights(name, file, revision)


@models.command("verify")
def verify_model(
    name: ModelName,
    weights: Weights = None,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="Folder of tiles (images/) with masks of the same names (masks/).")
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What the masks show.")] = "neoplastic cells",
    mpp: Annotated[float, typer.Option("--mpp", min=0.01, help="Microns per pixel of the labelled tiles.")] = 0.25,
    as_json: Json = False,
) -> None:
    """Check installed weights: keys, hash, a prediction, and Dice on labelled tiles."""
    from wsi_parse.cli.weights import verify_weights

    verify_weights(name, weights, labelled, prompt, mpp, as_json=as_json)


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="GeoJSON: .geojson, .json, also .gz or .zip; folders of results.", show_default=False),
    ],
    fix: Annotated[
        str | None,
        typer.Option("--fix", metavar="OUT", help="Write what QuPath takes: a file, or a folder (new ones end in /)."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=0, help="Features to name of each rule.")] = 3,
    as_json: Json = False,
) -> None:
    """Check GeoJSON against what QuPath v0.4 to v0.7 take, name what they refuse, and repair it.

    Exit code 1 where a file would be refused; with --fix, where a feature had to be dropped. Warnings do not count.
    """
    from wsi_parse.cli.check import check_files

    raise typer.Exit(check_files(files, fix, most, as_json=as_json))


@app.command()
def settings(config: Config = None, settings: Set = None) -> None:
    """Print all settings as YAML, with what they mean; a file for --config."""
    from wsi_parse.cli.show import show_settings
    from wsi_parse.settings import RunSettings

    show_settings(RunSettings.load(config, settings or ()))


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Option("--truth", help="Corrected GeoJSON, or a folder of such.")],
    pred: Annotated[Path, typer.Option("--pred", help="Predicted GeoJSON, a folder of such, or of results.")],
    objects: Annotated[
        str | None,
        typer.Option("--objects", help="all, cells, nuclei (of cells) or regions; else all, and like with like."),
    ] = None,
    within: Annotated[Path | None, typer.Option("--within", help="GeoJSON; look only inside its polygons.")] = None,
    within_class: Annotated[
        str | None, typer.Option("--within-class", help="Look only inside the truth's annotations of this class.")
    ] = None,
    radius: Annotated[str, typer.Option("--radius", help="How far centres may be apart: 6um, 12px.")] = "6um",
    mpp: Annotated[float | None, typer.Option("--mpp", help="Microns per pixel, where the files do not tell.")] = None,
    keep_unsure: Annotated[
        bool, typer.Option("--keep-unsure", help='Count "X: Unsure" as a class of its own, not as X.')
    ] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write everything, with lists of ids.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a row a class.")] = None,
    overlay: Annotated[Path | None, typer.Option("--overlay", help="Draw where they disagree, as PNG.")] = None,
) -> None:
    """Compare results with corrected ones: Dice, F1, PQ, AJI, confusion, and what a reviewer changed.

    Files are paired by their names, or the slides that results are of. With a region, objects count whose centroid
    lies in it. Without --objects, cells are compared by their nuclei where the other file has nuclei only.
    """
    from wsi_parse.cli.evaluate import do_evaluate
    from wsi_parse.evaluate.options import EvaluationOptions, objects_of

    chosen = None if objects is None else objects_of(objects)
    options = EvaluationOptions(mpp, radius, 0.5, chosen, within, within_class, keep_unsure)
    raise typer.Exit(do_evaluate(truth, pred, options, json, csv, overlay))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("demo-out"),
) -> None:
    """Make a synthetic slide with known truth, run on it, and compare."""
    from wsi_parse.cli.demo import run_demo

    raise typer.Exit(run_demo(out))


def main() -> None:
    """Run the command line: errors are one line with a remedy, exit code 2 for usage, 1 for a slide."""
    import warnings

    warnings.simplefilter("ignore")
    try:
        app()
    except WsiParseError as error:
        typer.echo(f"wsi-parse: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        typer.echo("wsi-parse: interrupted.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
