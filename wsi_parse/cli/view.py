"""The view command: a slide and its objects in the browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wsi_parse.cli.help import OBJECTS, OUTPUT
from wsi_parse.cli.options import SlideOfRun
from wsi_parse.cli.terminal import messages, say
from wsi_parse.text import RESEARCH_ONLY


def view(
    path: Annotated[
        Path,
        typer.Argument(metavar="RUN|SLIDE|COHORT", help="Folder of a run, a slide, or folder of a cohort."),
    ],
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="FILE",
            rich_help_panel=OBJECTS,
            help="GeoJSON file to lie over the slide. Repeat the option for several.",
        ),
    ] = None,
    slide: SlideOfRun = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="N",
            rich_help_panel=OUTPUT,
            help="Port on this machine; 0: a free one.",
        ),
    ] = 0,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", rich_help_panel=OUTPUT, help="Only show the link; open no browser."),
    ] = False,
) -> None:
    """Look at a slide and its objects in the browser, up to a million of them, with exact counts.

    A run does not keep where its slide is: it is looked for by its name in the current folder, and beside and above the
    run; else give it, or the folder it is in, with --slide. Nothing leaves this machine. Press Ctrl-C to end.

    Examples
    --------
    wsi-parse view wsi-parse-out/slide
        Look at the result of a run.
    wsi-parse view wsi-parse-out/slide --with corrected.geojson
        See what somebody corrected, beside the result.
    wsi-parse view out --slide slides --no-browser
        List the slides of a cohort; open the link that is shown yourself.
    """
    import tempfile
    import webbrowser

    from wsi_parse.cli.signals import Terminated
    from wsi_parse.viewer.page_files import page_files
    from wsi_parse.viewer.serve import serve
    from wsi_parse.viewer.subject import Request, opened_of

    console = messages()
    page_files()

    def ready(link: str, number: int) -> None:
        say(console, f"→ {link}  ({RESEARCH_ONLY})")
        say(
            console,
            f"From another machine: run ssh -N -L {number}:127.0.0.1:{number} USER@MACHINE there, with the name of "
            "this machine, and open the link there. Ctrl-C here ends the viewer.",
        )
        if not no_browser and _has_screen():
            webbrowser.open(link)

    with tempfile.TemporaryDirectory(prefix="wsi-parse-view-") as temporary:
        opened = opened_of(Request(path, slide, tuple(others or ()), Path(temporary), lambda text: say(console, text)))
        try:
            serve(opened, port, ready)
        except KeyboardInterrupt as interrupt:
            # Ctrl-C is how it ends; a signal that told it to end is named by the exit code.
            if isinstance(interrupt, Terminated):
                raise
        finally:
            opened.close()
    say(console, "The viewer has ended.")


def _has_screen() -> bool:
    """Return whether a browser would show up here: not at the other end of SSH, where one for terminals might start."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
