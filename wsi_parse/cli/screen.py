"""What a person sees while the work goes on: a live display on a terminal, otherwise a line every half minute."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wsi_parse.cli.stage_progress import Facts, StageProgress
from wsi_parse.cli.terminal import safe, say, say_caution
from wsi_parse.cli.text import counted
from wsi_parse.progress import Progress, Silent, duration

if TYPE_CHECKING:
    from wsi_parse.cautions import Caution
    from wsi_parse.cohort import Outcome

#: Seconds between two lines where there is no terminal.
LINE_EVERY_SECONDS = 30.0
_BAR_WIDTH = 20
# So many slides that cannot be processed have a line of their own.
_MAX_PROBLEMS = 20
# Stage -> what the user reads, and the unit of its steps.
_STAGES = {
    "tissue": ("find tissue", ""),
    "prepare": ("prepare model", ""),
    "predict": ("predict", "tile"),
    "outline": ("trace objects", "area"),
    "export": ("write results", "area"),
    "pictures": ("draw pictures", ""),
}


class SlideScreen:
    """The progress of one slide.

    Parameters
    ----------
    console : Console
    title : str
        Name of the slide.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._stages: dict[str, StageProgress] = {}
        self._facts = Facts()

    def start(self, stage: str, total: int) -> None:
        """Begin a stage."""
        self._stages[stage] = StageProgress(*_STAGES.get(stage, (stage, "step")), total)

    def advance(self, stage: str, steps: int = 1) -> None:
        """Count steps of a stage."""
        self._stages[stage].advance(steps)

    def device(self, name: str) -> None:
        """Take the name of the device."""
        self._facts.device = name

    def workers(self, peak_bytes: int) -> None:
        """Take the memory of workers that are not children of this process."""
        self._facts.remote_bytes = peak_bytes

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        say(self._console, text, "  ")

    def caution(self, caution: "Caution") -> None:
        """Print a caution above the bars."""
        say_caution(self._console, caution, "  ")

    def line(self) -> str:
        """Put the stage that is at work, and the facts, into one line."""
        stages = list(self._stages.values())
        at_work = next((stage for stage in stages if not stage.is_done), stages[-1] if stages else None)
        return f"{self._title}: {' · '.join((*(at_work.words() if at_work else ()), self._facts.words()))}"

    def picture(self) -> RenderableType:
        """Draw a bar for each stage, and the facts below them."""
        return _bars(list(self._stages.values()), self._facts)


class CohortScreen:
    """The progress of a cohort: slides and tiles, and a line for each slide that ended.

    Parameters
    ----------
    console : Console
        Receives notes and results.
    errors : Console, optional
        Receives what failed; by default the same.
    """

    def __init__(self, console: Console, errors: Console | None = None) -> None:
        self._console, self._errors = console, errors or console
        self._slides, self._tiles = StageProgress("cohort", "slide", None), StageProgress("predict", "tile", None)
        self._facts = Facts()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        say(self._console, text)

    def device(self, name: str) -> None:
        """Take the name of the device."""
        self._facts.device = name

    def checked(self, todo: int, problems: "list[Outcome]") -> None:
        """Print the first problems together, and how many there are."""
        for problem in problems[:_MAX_PROBLEMS]:
            self._failed(problem)
        if len(problems) > _MAX_PROBLEMS:
            self._errors.print(
                f"[red]failed[/red] {counted(len(problems) - _MAX_PROBLEMS, 'more slide')}: a run "
                "writes all of them into cohort.csv, and --json prints them.",
                highlight=False,
                soft_wrap=True,
            )
        if problems:
            self.note(
                f"{counted(len(problems), 'slide')} cannot be processed; continuing with {counted(todo, 'slide')}."
            )
        self._slides.total = todo

    def tiles(self, count: int, *, found: bool) -> None:
        """Count tiles that were found, or that are done."""
        if found:
            self._tiles.total = (self._tiles.total or 0) + count
        else:
            self._tiles.advance(count)

    def ended(self, outcome: "Outcome") -> None:
        """Print the line of a slide."""
        self._slides.advance(1)
        if outcome.state == "failed":
            self._failed(outcome)
            return
        counts = ", ".join(f"{count:,} {safe(prompt)}" for prompt, count in outcome.counts.items())
        self._console.print(
            f"[green]done[/green]   {safe(outcome.id)}: {counts} · {duration(outcome.seconds or 0)}", highlight=False
        )

    def line(self) -> str:
        """Put slides, tiles and facts into one line."""
        words = (*self._slides.words(), *self._tiles.words()) if self._slides.total else ("checking the slides",)
        return " · ".join((*words, self._facts.words()))

    def picture(self) -> RenderableType:
        """Draw the bars of slides and tiles, and the facts below them."""
        return _bars([stage for stage in (self._slides, self._tiles) if stage.total is not None], self._facts)

    def _failed(self, outcome: "Outcome") -> None:
        self._errors.print(
            f"[red]failed[/red] {safe(outcome.id)} ({safe(outcome.where)}): {safe(outcome.error or '')}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def slide_display(console: Console, title: str, line_every_s: float | None = None) -> Iterator[Progress]:
    """Show the progress of a slide; a console that is quiet shows nothing."""
    if console.quiet:
        yield Silent()
        return
    console.print(f"[bold]{safe(title)}[/bold]", highlight=False)
    screen = SlideScreen(console, title)
    with _display(console, screen, line_every_s):
        yield screen


@contextmanager
def cohort_display(console: Console, *, muted: bool, line_every_s: float | None = None) -> Iterator[CohortScreen]:
    """Show the progress of a cohort; a console that is quiet shows only what failed, and nothing if `muted`."""
    screen = CohortScreen(console, Console(stderr=True, quiet=muted))
    with _display(console, screen, line_every_s):
        yield screen


@contextmanager
def _display(console: Console, screen: SlideScreen | CohortScreen, line_every_s: float | None) -> Iterator[None]:
    """Draw a screen again and again on a terminal; print its line now and then to anything else."""
    if console.quiet:
        yield
    elif console.is_terminal:
        with Live(get_renderable=screen.picture, console=console, refresh_per_second=4):
            yield
    else:

        def say_line() -> None:
            console.print(screen.line(), highlight=False, markup=False, soft_wrap=True)

        with _every(LINE_EVERY_SECONDS if line_every_s is None else line_every_s, say_line):
            yield


@contextmanager
def _every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in a thread of its own, also while nothing advances."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bars(stages: list[StageProgress], facts: Facts) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for stage in stages:
        # A stage with nothing to do is drawn as done.
        total, done = (stage.total or 1), (stage.done if stage.total else 1)
        table.add_row(
            Text(f"  {stage.label}"),
            ProgressBar(total=total, completed=done, width=_BAR_WIDTH),
            Text(stage.count()),
            Text(stage.time(), style="cyan"),
        )
    return Group(table, Text(f"  {facts.words()}", style="dim"))
