"""run_cohort: check all, do what is open, several slides at once; each ends as one Outcome."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wsi_parse.cohort.listing import CohortSlide, Listing
from wsi_parse.cohort.outcome import OPENING, FailureNotes, Outcome
from wsi_parse.cohort.resolve import Choice, check, chosen, with_model
from wsi_parse.cohort.tables import write_tables
from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClaimedError, ClusterError, StoreError, UsageError
from wsi_parse.files import try_writing
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import segment_slide
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

_LOOK_AGAIN_SECONDS = 1.0
_TABLES_EVERY_SECONDS = 20.0


class Listener(Protocol):
    """Who wants to know how a cohort goes. Called from several threads, one call at a time."""

    def note(self, text: str) -> None:
        """Say something once."""

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        """Tell what will be done, and what cannot."""

    def tiles(self, count: int, *, found: bool) -> None:
        """Tell of tiles: so many more are there to do (`found`), or are done."""

    def ended(self, outcome: Outcome) -> None:
        """Tell how a slide ended."""


def run_cohort(
    listing: Listing, out: Path, settings: RunSettings, listener: Listener, choice: Choice | None = None
) -> list[Outcome]:
    """Do a cohort.

    Parameters
    ----------
    listing : Listing
    out : Path
        Takes a folder a slide, cohort.csv, cohort.parquet and summary.md.
    settings : RunSettings
        Of all slides; a row may say otherwise.
    listener : Listener
    choice : Choice, optional

    Returns
    -------
    list of Outcome
        A row a slide, in the order of the list; also of slides that were not chosen now.

    Raises
    ------
    UsageError
        Where nothing can be done at all: no model, no writable folder, ids that are not there.
    ClusterError
        Where the workers are gone; what is done is kept.
    """
    choice = choice or Choice()
    _writable(out)
    listing, settings = with_model(listing, settings, listener.note)
    return _Cohort(listing, out, settings, _Locked(listener), choice).run()


@dataclass
class _Cohort:
    """A cohort under way."""

    listing: Listing
    out: Path
    settings: RunSettings
    listener: Listener
    choice: Choice
    ended: dict[str, Outcome] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    said: set[str] = field(default_factory=set)
    written: float = 0.0
    lacking: str = ""

    def __post_init__(self) -> None:
        self.notes = FailureNotes(self.out)

    def run(self) -> list[Outcome]:
        todo = self._todo()
        try:
            with Cluster(self.settings.compute, self.out / ".cohort", self.listener.note) as cluster:
                if todo and not cluster.is_here:
                    # Batch systems are started from the main thread only.
                    cluster.client()
                self._do_all(todo, cluster)
        finally:
            self._write()
        if self.lacking:
            raise StoreError(f"The tables cannot be written: {self.lacking}.", "The same command writes them.")
        return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """Rows as they stand: what ended now, else what the folders tell."""
        problems = [Outcome.of_problem(problem) for problem in self.listing.problems]
        return [self.ended.get(row.id) or self._stands(row) for row in self.listing.slides] + problems

    def _stands(self, row: CohortSlide) -> Outcome:
        manifest = RunManifest.load(self.out / row.id)
        # Not looked at now: what was done by other settings is open.
        if manifest is not None and manifest.state == "done" and self._asked(row, manifest):
            return Outcome.of_manifest(row, manifest)
        return self.notes.find(row, self.settings) or Outcome.open(row)

    def _asked(self, row: CohortSlide, manifest: RunManifest) -> bool:
        try:
            return manifest.matches_request(resolve(row.settings(self.settings)).settings)
        except UsageError:
            return False

    def _todo(self) -> list[CohortSlide]:
        """Check all that is meant; what is left is worth a try."""
        problems = [Outcome.of_problem(problem) for problem in self.listing.problems]
        todo: list[CohortSlide] = []
        rows, left = chosen(self.listing, self.choice), self.choice.limit
        for row, found in check([] if left == 0 else rows, self.settings):
            if isinstance(found, Exception):
                self.ended[row.id] = Outcome.of_error(row, found, self.out / row.id)
                self._note(row, self.ended[row.id])
                problems.append(self.ended[row.id])
                continue
            before = self._failed_before(row)
            if before is not None:
                self.ended[row.id] = before
                problems.append(before)
                continue
            manifest = RunManifest.load(self.out / row.id)
            finished = manifest is not None and manifest.state == "done" and manifest.digest == found.digest
            if left is not None and not finished:
                if left == 0:
                    continue
                left -= 1
            todo.append(row)
        self.listener.checked(len(todo), problems)
        return todo

    def _do_all(self, todo: list[CohortSlide], cluster: Cluster) -> None:
        elsewhere: deque[CohortSlide] = deque()
        with ThreadPoolExecutor(self.settings.compute.slides_at_once) as pool:
            pending: dict[Future[Outcome | None], CohortSlide] = {
                pool.submit(self._do, row, cluster): row for row in todo
            }
            try:
                while pending or elsewhere:
                    if not pending:
                        # Their owner may still die: whoever is left takes them over.
                        self._once(f"Another process is at work on {', '.join(row.id for row in elsewhere)}: waiting.")
                        self.stop.wait(_LOOK_AGAIN_SECONDS)
                        pending = {pool.submit(self._do, row, cluster): row for row in elsewhere}
                        elsewhere.clear()
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        row = pending.pop(future)
                        outcome = future.result()
                        if outcome is None:
                            elsewhere.append(row)
                            continue
                        self.ended[row.id] = outcome
                        self.listener.ended(outcome)
                        if time.monotonic() - self.written > _TABLES_EVERY_SECONDS:
                            self._write()
            except BaseException:
                # Nobody waits for what is under way.
                self.stop.set()
                cluster.abandon()
                raise
            finally:
                self.stop.set()
                pool.shutdown(cancel_futures=True)

    def _once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.listener.note(text)

    def _do(self, row: CohortSlide, cluster: Cluster) -> Outcome | None:
        """Do a slide; None where another process is at it."""
        folder, before = self.out / row.id, self._failed_before(row)
        if before is not None:
            return before
        try:
            manifest = segment_slide(
                row.path, folder, row.settings(self.settings), _OfSlide(self.listener, self.stop, self._once), cluster
            )
            outcome = Outcome.of_manifest(row, manifest)
        except ClaimedError:
            return None
        except ClusterError:
            raise
        except Exception as error:  # noqa: BLE001 - a slide that fails, however, stops no other
            outcome = Outcome.of_error(row, error, folder)
        self._note(row, outcome)
        return outcome

    def _failed_before(self, row: CohortSlide) -> Outcome | None:
        """How a slide failed, unless it shall be tried again; that it could not be opened is always seen anew."""
        before = None if self.choice.retry_failed else self.notes.find(row, self.settings)
        return None if before is None or before.error_stage == OPENING else before

    def _note(self, row: CohortSlide, outcome: Outcome) -> None:
        # On a full disk the row is in the tables of this call only.
        with suppress(OSError):
            self.notes.put(row, self.settings, outcome)

    def _write(self) -> None:
        self.written, self.lacking = time.monotonic(), ""
        try:
            write_tables(self.outcomes(), self.out)
        except OSError as error:
            self.lacking = error.strerror or str(error)


@dataclass
class _OfSlide:
    """Progress of one slide, for the listener of all; where all shall stop, the slide stops at its next step.

    What is said of many slides in the same words is said once.
    """

    listener: Listener
    stop: threading.Event
    once: Callable[[str], None]

    def start(self, stage: str, total: int) -> None:
        self._look()
        if stage == "predict":
            self.listener.tiles(total, found=True)

    def advance(self, stage: str, steps: int = 1) -> None:
        self._look()
        if stage == "predict":
            self.listener.tiles(steps, found=False)

    def note(self, text: str) -> None:
        self._look()
        self.once(text)

    def _look(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt


class _Locked:
    """Lets one thread at a time speak."""

    def __init__(self, listener: Listener) -> None:
        self._lock = threading.Lock()
        self._listener = listener

    def __getattr__(self, name: str) -> Callable[..., None]:
        speak = getattr(self._listener, name)

        def one_at_a_time(*given: object, **named: object) -> None:
            with self._lock:
                speak(*given, **named)

        return one_at_a_time


def _writable(out: Path) -> None:
    try:
        (out / ".cohort").mkdir(parents=True, exist_ok=True)
        try_writing(out / ".cohort")
    except OSError as error:
        raise UsageError(f"{out} cannot be written to: {error.strerror}.", "Choose another --out.") from error
