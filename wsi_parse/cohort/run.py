"""run_cohort: check all slides, then process those that are not done, several at once; each ends as one Outcome."""

import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wsi_parse.cautions import Caution
from wsi_parse.cohort.cohort_slide import CohortSlide
from wsi_parse.cohort.listener import Listener, SerialListener, Unheard
from wsi_parse.cohort.listing import Listing
from wsi_parse.cohort.outcome import OPENING, FailureNotes, Outcome
from wsi_parse.cohort.selection import Choice, Decided, check, decide, selected_rows
from wsi_parse.cohort.tables import remove_page, write_tables
from wsi_parse.compute.cluster import Cluster
from wsi_parse.errors import ClaimedError, ClusterError, ManifestError, StoreError, UsageError
from wsi_parse.files import private_folder, shared_with_group, try_writing
from wsi_parse.progress import report_traceback
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.settings import RunSettings

if TYPE_CHECKING:
    from distributed import Client

_CHECK_AGAIN_SECONDS = 1.0
_TABLES_EVERY_SECONDS = 20.0


def run_cohort(
    listing: Listing,
    out: str | Path,
    settings: RunSettings,
    listener: Listener | None = None,
    choice: Choice | None = None,
    *,
    client: "Client | None" = None,
) -> list[Outcome]:
    """Process a cohort.

    Parameters
    ----------
    listing : Listing
    out : str or Path
        Receives a folder for each slide, cohort.csv, cohort.parquet, summary.md and wsi_parse_mqc.json; at the end also
        cohort.html, unless the setting export.report is false.
    settings : RunSettings
        For all slides; a row may override some.
    listener : Listener, optional
        Receives the progress; without it nothing is shown.
    choice : Choice, optional
        Which rows are processed; None: all.
    client : distributed.Client, optional
        A Dask client of your own; see :func:`wsi_parse.segment_slide`.

    Returns
    -------
    list of Outcome
        One per row, in the order of the list, including slides that were not selected now.

    Raises
    ------
    UsageError
        If nothing can be done at all: no model, no writable folder, unknown ids.
    ClusterError
        If the workers are gone; the work done so far is kept.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from wsi_parse.cohort import list_cohort
    >>> from wsi_parse.synthetic import SyntheticSlide, write_svs_like
    >>> settings = RunSettings(prompts="nuclei", model="stain", export={"overlay_px": 0})
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.svs", "b.svs"):
    ...         write_svs_like(Path(folder, name), SyntheticSlide(700, 600, seed=3, tissue=1.0))
    ...     outcomes = run_cohort(list_cohort([folder], f"{folder}/out"), f"{folder}/out", settings)
    >>> [(outcome.id, outcome.state) for outcome in outcomes]
    [('a', 'done'), ('b', 'done')]
    """
    choice, heard, out = choice or Choice(), SerialListener(listener or Unheard()), Path(out)
    with shared_with_group(settings.compute.share_group):
        _check_writable(out)
    decided = decide(listing, settings)
    for note in decided.notes:
        heard.note(note)
    with shared_with_group(settings.compute.share_group):
        return _Cohort(decided, out, heard, choice, client).run()


@dataclass
class _Cohort:
    """A running cohort."""

    decided: Decided
    out: Path
    listener: Listener
    choice: Choice
    client: "Client | None" = None
    ended: dict[str, Outcome] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    waited_for: set[str] = field(default_factory=set)
    written: float = 0.0
    table_error: str = ""

    def __post_init__(self) -> None:
        self.listing, self.settings = self.decided.listing, self.decided.settings
        self.notes = FailureNotes(self.out)

    def run(self) -> list[Outcome]:
        rows = self._rows_to_run()
        try:
            with Cluster(
                self.settings.compute,
                self.out / ".cohort",
                self.listener.note,
                model=self.settings.model,
                given=self.client,
            ) as cluster:
                if rows and not cluster.is_here:
                    # Batch systems can be started from the main thread only.
                    cluster.client()
                self._run_all(rows, cluster)
        finally:
            self._write(page=self.settings.export.report)
            if not self.settings.export.report:
                remove_page(self.out)
        if self.table_error:
            raise StoreError(
                f"The tables cannot be written: {self.table_error.rstrip('.')}.",
                "Make them writable, and run the same command again.",
            )
        return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """Return the current outcome of each row: of this call, else as found in its folder."""
        problems = [Outcome.of_problem(problem) for problem in self.listing.problems]
        ended = [self.ended.get(row.id) or self._stored_outcome(row) for row in self.listing.slides]
        return [outcome.named(self.settings.slide.name) for outcome in ended + problems]

    def _stored_outcome(self, row: CohortSlide) -> Outcome:
        """Read how a row ended in an earlier call; whatever stands in its folder, the tables come out."""
        try:
            manifest = RunManifest.load(self.out / row.id)
            # A run with other settings does not count: the slide is open.
            if manifest is not None and manifest.state == "done" and self._is_current(row, manifest):
                return Outcome.of_manifest(row, manifest)
            return self.notes.find(row, self.settings) or Outcome.open(row)
        except Exception as error:  # noqa: BLE001 - one row must not keep the others from the tables
            report_traceback(error)
            return Outcome.of_error(row, error, self.out / row.id)

    def _is_current(self, row: CohortSlide, manifest: RunManifest) -> bool:
        try:
            return manifest.matches_request(self.decided.request(row).for_folder(Path(row.id)).settings)
        except UsageError:
            return False

    def _rows_to_run(self) -> list[CohortSlide]:
        """Check the selected rows, and return those that can be processed."""
        problems = [Outcome.of_problem(problem) for problem in self.listing.problems]
        rows_to_run: list[CohortSlide] = []
        rows, left = selected_rows(self.listing, self.choice), self.choice.limit
        for row, opened in check([] if left == 0 else rows, self.decided):
            manifest, found = self._earlier(row, opened)
            if isinstance(found, Exception):
                report_traceback(found)
                self.ended[row.id] = Outcome.of_error(row, found, self.out / row.id)
                self._note(row, self.ended[row.id])
                problems.append(self.ended[row.id])
                continue
            before = self._failed_before(row)
            if before is not None:
                self.ended[row.id] = before
                problems.append(before)
                continue
            finished = manifest is not None and manifest.state == "done" and manifest.digests == found.digests
            if left is not None and not finished:
                if left == 0:
                    continue
                left -= 1
            rows_to_run.append(row)
        self.listener.checked(len(rows_to_run), problems)
        return rows_to_run

    def _earlier(
        self, row: CohortSlide, opened: PreparedRun | Exception
    ) -> tuple[RunManifest | None, PreparedRun | Exception]:
        """Add what was done before; a manifest that cannot be read fails its row."""
        try:
            return RunManifest.load(self.out / row.id), opened
        except (ManifestError, OSError, ValueError) as error:
            return None, opened if isinstance(opened, Exception) else error

    def _run_all(self, rows: list[CohortSlide], cluster: Cluster) -> None:
        claimed: deque[CohortSlide] = deque()
        with ThreadPoolExecutor(self.settings.compute.slides_at_once) as pool:
            pending: dict[Future[Outcome | None], CohortSlide] = {
                pool.submit(self._run_slide, row, cluster): row for row in rows
            }
            try:
                while pending or claimed:
                    if not pending:
                        # The process that claims them may die; this one then takes them over.
                        self._say_waiting(", ".join(row.id for row in claimed))
                        self.stop.wait(_CHECK_AGAIN_SECONDS)
                        pending = {pool.submit(self._run_slide, row, cluster): row for row in claimed}
                        claimed.clear()
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        row = pending.pop(future)
                        outcome = future.result()
                        if outcome is None:
                            claimed.append(row)
                            continue
                        self.ended[row.id] = outcome
                        self.listener.ended(outcome)
                        if time.monotonic() - self.written > _TABLES_EVERY_SECONDS:
                            self._write()
            except BaseException:
                # Stop the running slides instead of waiting for them.
                self.stop.set()
                cluster.abandon()
                raise
            finally:
                self.stop.set()
                pool.shutdown(cancel_futures=True)

    def _say_waiting(self, names: str) -> None:
        if names not in self.waited_for:
            self.waited_for.add(names)
            self.listener.note(f"Waiting for another process that is working on {names}.")

    def _run_slide(self, row: CohortSlide, cluster: Cluster) -> Outcome | None:
        """Process a slide; return None if another process is working on it."""
        folder, before = self.out / row.id, self._failed_before(row)
        if before is not None:
            return before
        try:
            manifest = run_slide(
                row.path,
                folder,
                self.decided.request(row),
                _SlideProgress(row.id, self.listener, self.stop),
                cluster,
            )
            outcome = Outcome.of_manifest(row, manifest)
        except ClaimedError:
            return None
        except ClusterError:
            raise
        except Exception as error:  # noqa: BLE001 - a slide that fails must not stop the others
            report_traceback(error)
            outcome = Outcome.of_error(row, error, folder)
        self._note(row, outcome)
        return outcome

    def _failed_before(self, row: CohortSlide) -> Outcome | None:
        """Return how a slide failed, unless it is to be tried again; opening is always tried again."""
        before = None if self.choice.retry_failed else self.notes.find(row, self.settings)
        return None if before is None or before.error_stage == OPENING else before

    def _note(self, row: CohortSlide, outcome: Outcome) -> None:
        # If the note cannot be written, the row is in the tables of this call only.
        with suppress(OSError, ValueError):
            self.notes.put(row, self.settings, outcome.named(self.settings.slide.name))

    def _write(self, *, page: bool = False) -> None:
        self.written, self.table_error = time.monotonic(), ""
        try:
            notes = write_tables(self.outcomes(), self.out, page=page)
        except OSError as error:
            named = f"{Path(str(error.filename)).name}: " if error.filename else ""
            self.table_error = f"{named}{error.strerror or error}"
            return
        except Exception as error:  # noqa: BLE001 - the slides go on; it is told at the end
            report_traceback(error)
            self.table_error = f"{type(error).__name__}: {error}"
            return
        for note in notes:
            self.listener.note(note)


@dataclass
class _SlideProgress:
    """Passes the progress of one slide to the listener; raises KeyboardInterrupt when the cohort is to stop."""

    row: str
    listener: Listener
    stop: threading.Event

    def start(self, stage: str, total: int) -> None:
        self._check_stop()
        if stage == "predict":
            self.listener.tiles(total, found=True)

    def advance(self, stage: str, steps: int = 1) -> None:
        self._check_stop()
        if stage == "predict":
            self.listener.tiles(steps, found=False)

    def device(self, name: str) -> None:
        self.listener.device(name)

    def workers(self, peak_bytes: int) -> None:
        """Ignore: the slides of a cohort share their workers."""

    def note(self, text: str) -> None:
        self._check_stop()
        self.listener.note(f"{self.row}: {text}")

    def caution(self, caution: Caution) -> None:
        self.note(f"Caution: {caution}")

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt


def _check_writable(out: Path) -> None:
    try:
        try_writing(private_folder(out / ".cohort"))
    except OSError as error:
        raise UsageError(
            f"The folder {out} is not writable: {error.strerror}.", "Choose another folder with --out."
        ) from error
