"""What a person sees while the work goes on: bars with rate and time left, and a line for each slide of a cohort."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from wsi_parse.cli.text import counted
from wsi_parse.progress import duration

if TYPE_CHECKING:
    from wsi_parse.cohort import Outcome

_UNITS = {"tissue": "pass", "predict": "tiles", "outline": "chunks", "export": "chunks"}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show the steps per second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "", style="cyan")


class Bars:
    """Bars on the terminal; a context manager.

    Parameters
    ----------
    console : Console
    more : ProgressColumn
        Shown before the time that is left.
    """

    def __init__(self, console: Console, *more: ProgressColumn) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("  {task.description:<8}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            *more,
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class Screen(Bars):
    """Progress of one slide on the terminal's error stream; a context manager.

    Parameters
    ----------
    console : Console
    title : str
        Name of the slide.
    """

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(console, _Rate())
        self._title = title
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._console.print(f"[bold]{escape(self._title)}[/bold]", highlight=False)
        return super().__enter__()

    def start(self, stage: str, total: int) -> None:
        """Add a bar."""
        self._tasks[stage] = self._bars.add_task(stage, total=total, unit=_UNITS.get(stage, "steps"))

    def advance(self, stage: str, steps: int = 1) -> None:
        """Move a bar."""
        self._bars.advance(self._tasks[stage], steps)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(f"  {escape(text)}", highlight=False)


class CohortScreen(Bars):
    """A bar of slides and a bar of tiles on the terminal's error stream; a context manager."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._slides = self._bars.add_task("slides", total=None, visible=False)
        self._tiles = self._bars.add_task("tiles", total=0, visible=False)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, highlight=False, markup=False)

    def checked(self, todo: int, problems: "list[Outcome]") -> None:
        """Print all problems together."""
        for problem in problems:
            self._failed(problem)
        if problems:
            self.note(
                f"{counted(len(problems), 'slide')} cannot be processed; continuing with {counted(todo, 'slide')}."
            )
        self._bars.update(self._slides, total=todo, visible=True)

    def tiles(self, count: int, *, found: bool) -> None:
        """Move the bar of tiles."""
        if found:
            task = self._bars.tasks[self._tiles]
            self._bars.update(self._tiles, total=(task.total or 0) + count, visible=True)
        else:
            self._bars.advance(self._tiles, count)

    def ended(self, outcome: "Outcome") -> None:
        """Print the line of a slide."""
        self._bars.advance(self._slides)
        if outcome.state == "failed":
            self._failed(outcome)
            return
        counts = ", ".join(f"{count:,} {escape(prompt)}" for prompt, count in outcome.counts.items())
        self._console.print(
            f"[green]done[/green]   {escape(outcome.id)}: {counts} · {duration(outcome.seconds or 0)}", highlight=False
        )

    def _failed(self, outcome: "Outcome") -> None:
        self._console.print(
            f"[red]failed[/red] {escape(outcome.id)} ({outcome.where}): {escape(outcome.error or '')}",
            highlight=False,
            soft_wrap=True,
        )
