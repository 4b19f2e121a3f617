"""The cite command: the methods paragraph of a finished run, and what to cite."""

from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.help import OUTPUT


def cite(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    bibtex: Annotated[
        bool, typer.Option("--bibtex", rich_help_panel=OUTPUT, help="Print only the references, as BibTeX.")
    ] = False,
) -> None:
    """Print a paragraph for the methods section of a paper, and what to cite.

    Both are made from run.json in the folder of the run, and stand in its report.html, too.

    Examples
    --------
    wsi-parse cite wsi-parse-out/slide
        Print the paragraph, the references, and their BibTeX.
    wsi-parse cite wsi-parse-out/slide --bibtex > references.bib
        Write the BibTeX to a file.
    wsi-parse cite out/slide1 > methods.txt
        Write all of it to a file.
    """
    from wsi_parse.registry import MODELS
    from wsi_parse.report.citations import citations, of_spec
    from wsi_parse.report.methods import methods_paragraph
    from wsi_parse.run.result import Run

    # Neither is about the files: they may have been corrected meanwhile.
    manifest = Run.open(run, verify=False).manifest.model_dump(mode="json")
    found = citations(manifest, of_spec(MODELS.get(manifest["model"]["name"]).spec))
    if not bibtex:
        typer.echo(methods_paragraph(manifest) + "\n")
        for one in found:
            typer.echo(f"- {one.reference}")
        typer.echo("")
    typer.echo("\n\n".join(one.bibtex for one in found))
