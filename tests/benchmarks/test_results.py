"""`python -m benchmarks`: rounds are alternated, medians and hashes stand in the page, and times fail nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.limits import MISSED
from benchmarks.measured import Measured
from benchmarks.measures import Figure, Measure
from benchmarks.results import Series, add_round, unequal, write_results

ROOT = Path(__file__).parents[2]


def figures(value: float, outputs: str = "aa" * 32) -> list[Figure]:
    return [
        Figure("reading", value, "Mpx/s", value / 200, outputs, 100.0),
        Figure("writing", 1.0, "s", None, "cc" * 32),
    ]


def test_the_page_has_medians_ratios_memory_and_hashes(tmp_path: Path) -> None:
    series: dict[str, Series] = {}
    for value in (120.0, 100.0, 500.0):
        add_round(series, figures(value), "decoding", 70.0 + value)
    write_results(tmp_path / "RESULTS.md", series, [("scale", "missed"), ("tissue", "kept")], 0.5)
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| reading | 120 Mpx/s | 100 to 500 | 0.60 | 100 MB | aaaaaaaaaaaa |" in page
    assert "| writing | 1 s | 1 to 1 |  | 190 MB | cccccccccccc |" in page
    assert "- reading: decoding" in page
    assert "- writing: " not in page
    assert "| `scale` | missed |" in page
    assert "- rounds: 3" in page
    for fact in ("machine", "commit", "versions", "date (UTC)", "load before the first round"):
        assert f"\n- {fact}: " in page


def test_outputs_that_change_from_round_to_round_are_named(tmp_path: Path) -> None:
    series: dict[str, Series] = {}
    add_round(series, figures(1.0), "decoding", 1.0)
    assert unequal(series) == []
    add_round(series, figures(1.0, "bb" * 32), "decoding", 1.0)
    assert unequal(series) == ["reading"]
    write_results(tmp_path / "RESULTS.md", series, [], 0.0)
    assert "**not the same**: aaaaaaaaaaaa, bbbbbbbbbbbb" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_each_round_begins_with_another_and_what_crashed_or_told_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(command: list[str], *, check: bool) -> Measured:
        assert not check
        ran.append(command[2].removeprefix("benchmarks."))
        code = {"b": MISSED, "d": 1}.get(ran[-1], 0)
        return Measured(1.0, 5.0, "" if ran[-1] == "c" else 'told\n{"value": 3.0}\n', code)

    monkeypatch.setattr(bench, "run_measured", run)
    measures = [
        Measure(name, (), (), lambda found: [Figure("f", one["value"], "s", None, None) for one in found], "")
        for name in "abcd"
    ]
    series: dict[str, Series] = {}
    assert bench.measure_rounds(measures, 3, series, small=True) == set("cd")
    assert "".join(ran) == "abcdbcdacdab"
    assert [figure.value for figure in series["f"].figures] == [3.0] * 6
    assert series["f"].peaks_mb == [5.0] * 6


def test_a_benchmark_that_crashed_is_no_missed_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    codes = {
        "scale": "from benchmarks import limits; limits.end(kept=False)",
        "tissue": "from benchmarks import limits; limits.end(kept=True)",
        "memory": "raise ValueError('a crash')",
        "cohort": "raise SystemExit('a1 failed: no space')",
    }
    run = subprocess.run

    def instead(command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        return run([sys.executable, "-c", codes[command[2].removeprefix("benchmarks.")]], cwd=ROOT, check=check)

    monkeypatch.setattr(bench.subprocess, "run", instead)
    ends = {name: bench.run_once(name) for name in codes}
    failed = "**failed**, exit code 1"
    assert ends == {"scale": "missed", "tissue": "kept", "memory": failed, "cohort": failed}
    assert "a crash" in capfd.readouterr().err

    monkeypatch.setattr(bench, "write_results", lambda path, *_: path.write_text("", encoding="utf-8"))
    for names, code in ((["scale", "tissue"], False), (["tissue", "memory"], True)):
        chosen = [part for name in names for part in ("--only", name)]
        monkeypatch.setattr(sys, "argv", ["benchmarks", *chosen, "-o", str(tmp_path / "RESULTS.md")])
        with pytest.raises(SystemExit) as caught:
            bench.main()
        assert caught.value.code is code


@pytest.mark.whole
def test_the_real_benchmarks_write_the_page_with_small_sizes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--small", "--rounds", "2", "-o", str(tmp_path / "RESULTS.md")]
    for name in ("startup", "reading", "stages", "objects", "exporters", "beside_network"):
        command += ["--only", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    for what in (
        "wsi-parse info",
        "reading blocks 2.02 times coarser",
        "a run around zeros-half, p3000-512.svs, CPU",
        "blend, outline, measure, write; 1,500 px, 2 processes",
        "writing annotations.geojson, 500 cells",
        "a run of mini beside its network, painted-1000.svs, CPU",
    ):
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {what} |"))
        *_, memory, outputs = line.removesuffix(" |").split(" | ")
        assert float(memory.removesuffix(" MB").replace(",", "")) > 10
        assert len(outputs) == 12
