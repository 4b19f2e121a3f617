"""The view command: a slide and its objects in the browser."""

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
    from contextlib import suppress

    from wsi_parse.viewer.page_files import page_files
    from wsi_parse.viewer.serve import serve
    from wsi_parse.viewer.subject import Request, opened_of

    console = messages()
    page_files()

    def ready(link: str, number: int) -> None:
        say(console, f"→ {link}  ({RESEARCH_ONLY})")
        say(
            console,
            f"On another machine, through SSH: ssh -L {number}:127.0.0.1:{number} USER@THIS-MACHINE, then open the "
            "link there. Ctrl-C ends.",
        )
        if not no_browser:
            webbrowser.open(link)

    with tempfile.TemporaryDirectory(prefix="wsi-parse-view-") as temporary:
        opened = opened_of(Request(path, slide, tuple(others or ()), Path(temporary), lambda text: say(console, text)))
        try:
            with suppress(KeyboardInterrupt):
                serve(opened, port, ready)
        finally:
            opened.close()
    say(console, "The viewer has ended.")
