"""SIGTERM and SIGHUP end a command as Ctrl-C does: a sentence, finished work kept, and an exit code that says which."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cli.signals import Terminated, as_interrupts, exit_code

SMALL = ("--model", "stain", "-p", "nuclei", "--set", "model.field_um=128", "--set", "tiles.block=1")
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def send_to_self(number: signal.Signals) -> None:
    """Send this process a signal; Python calls its handler before the next line is done."""
    os.kill(os.getpid(), number)
    time.sleep(0.05)


class TestHandlers:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_a_signal_raises_in_the_main_thread_once(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        with pytest.raises(Terminated) as caught, as_interrupts():
            send_to_self(number)
        assert isinstance(caught.value, KeyboardInterrupt)
        assert exit_code(caught.value) == 128 + number
        assert signal.getsignal(number) is before

    def test_the_same_signal_sent_twice_counts_once(self) -> None:
        with as_interrupts():
            with pytest.raises(Terminated):
                send_to_self(signal.SIGTERM)
            send_to_self(signal.SIGTERM)

    def test_what_is_ignored_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with as_interrupts():
                os.kill(os.getpid(), signal.SIGHUP)
                assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_another_thread_changes_nothing(self) -> None:
        seen = []

        def look() -> None:
            with as_interrupts():
                seen.append(signal.getsignal(signal.SIGTERM))

        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen == [before]

    def test_ctrl_c_is_130(self) -> None:
        assert exit_code(KeyboardInterrupt()) == 130


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "s.svs", tissue_with_nuclei(3000, 2600)[0])


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wsi_parse", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_blocks(out: Path, count: int) -> None:
    end = time.monotonic() + 120
    while len(list(out.rglob("done/*.json"))) < count:
        assert time.monotonic() < end, "the run did not get so far"
        time.sleep(0.02)


def end_by(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send the signal; return what is said. Nothing is left behind."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    return " ".join(stderr.split())


@pytest.mark.kill
class TestCommands:
    @pytest.mark.parametrize(
        ("number", "more"),
        [(signal.SIGTERM, ()), (signal.SIGHUP, ("--workers", "1"))],
        ids=["SIGTERM, threads", "SIGHUP, processes"],
    )
    def test_run(self, slide: Path, tmp_path: Path, number: signal.Signals, more: tuple[str, ...]) -> None:
        process = start(slide, *SMALL, "-o", tmp_path / "out", *more)
        wait_for_blocks(tmp_path, 5)
        said = end_by(process, number)
        assert "Interrupted at s.svs. Finished work is kept. Run the same command again to continue." in said
        blocks = len(list((tmp_path / "out").rglob("done/*.json")))
        again = start(slide, *SMALL, "-o", tmp_path / "out", *more)
        _, stderr = again.communicate(timeout=120)
        assert again.returncode == 0, stderr
        resumed = int(stderr.partition("Resuming: ")[2].split()[0])
        assert resumed >= min(5, blocks)

    def test_cohort(self, slide: Path, tmp_path: Path) -> None:
        process = start("cohort", slide, *SMALL, "-o", tmp_path / "out")
        wait_for_blocks(tmp_path, 3)
        assert "Interrupted. Finished work is kept. Run the same command again" in end_by(process, signal.SIGHUP)
        assert (tmp_path / "out" / "cohort.csv").exists(), "the tables say how far it got"

    def test_evaluate(self, tmp_path: Path) -> None:
        path = tmp_path / "many.geojson"
        square = (
            '{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[0,0],[0,9],[9,9],[0,0]]]},"properties":{}}'
        )
        path.write_text(f'{{"type":"FeatureCollection","features":[{",".join([square] * 200_000)}]}}')
        process = start("evaluate", "--truth", path, "--pred", path)
        end = time.monotonic() + 60
        while str(path) not in {file.path for file in psutil.Process(process.pid).open_files()}:
            assert time.monotonic() < end
            assert process.poll() is None, "it ended before the signal"
        assert end_by(process, signal.SIGTERM) == "wsi-parse: interrupted."
