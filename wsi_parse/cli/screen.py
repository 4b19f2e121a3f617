"""What a person sees while a run goes: a bar a stage, with rate and time left."""

from collections.abc import Collection
from types import TracebackType
from typing import Self

from rich.console import Console
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

_UNITS = {"tissue": "pass", "predict": "tiles", "outline": "chunks", "export": "chunks"}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Steps a second."""
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
    """Progress on the terminal's error stream; a context manager.

    Parameters
    ----------
    console : Console
    title : str
        Name of the slide.
    said : collection of str
        Notes that were printed for all slides, and are not printed again.
    """

    def __init__(self, console: Console, title: str, said: Collection[str] = ()) -> None:
        super().__init__(console, _Rate())
        self._said = said
        self._title = title
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._console.print(f"[bold]{self._title}[/bold]", highlight=False)
        return super().__enter__()

    def start(self, stage: str, total: int) -> None:
        """Add a bar."""
        self._tasks[stage] = self._bars.add_task(stage, total=total, unit=_UNITS.get(stage, "steps"))

    def advance(self, stage: str, steps: int = 1) -> None:
        """Move a bar."""
        self._bars.advance(self._tasks[stage], steps)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        if text in self._said:
            return
        self._bars.console.print(f"  {text}", highlight=False)
