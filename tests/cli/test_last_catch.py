"""The last catch: whatever happens, one sentence, an exit code, and nothing more from Python."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wsi_parse.cli import tracebacks
from wsi_parse.errors import PluginError, StageError, UsageError


def program(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wsi_parse", *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False, "errors": "backslashreplace"}
    return subprocess.run(command, **{**options, **more})  # type: ignore[call-overload, no-any-return]


def test_a_full_disk_for_the_output_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        ended = program("settings", stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (1, "wsi-parse: No space left on device.\n")


def test_output_that_is_closed_is_no_error() -> None:
    command = f"{sys.executable} -m wsi_parse settings >&-; echo code $? >&2"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr == "code 0\n"


def test_a_reader_that_closes_our_output_is_no_error() -> None:
    command = f"{sys.executable} -m wsi_parse settings | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == ""


# Each entrance of a path, and each kind of thing that is no file.
ENTRANCES = {
    "slide of run": ("run", "{}", "-p", "nuclei", "--model", "stain", "--dry-run"),
    "slide of info": ("info", "{}"),
    "slide of preview": ("preview", "{}"),
    "list": ("cohort", "{}", "-p", "nuclei", "--dry-run"),
    "region": ("run", "{slide}", "-p", "nuclei", "--model", "stain", "--dry-run", "--roi", "{}"),
    "settings": ("settings", "--config", "{}"),
    "weights": ("run", "{slide}", "-p", "nuclei", "--model", "mini", "--dry-run", "--weights", "{}"),
    "annotations": ("check", "{}"),
    "truth": ("evaluate", "{slide}", "{}"),
    "run to export": ("export", "{}", "--format", "csv"),
    "checkpoint": ("models", "get", "biomedparse", "--from", "{}"),
}
KINDS = ("pipe", "socket", "device", "endless device", "folder", "missing", "loop", "no target", "long", "not UTF-8")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("things")
    os.mkfifo(folder / "pipe.csv")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket.csv"))
    server.close()
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "no_target.csv").symlink_to(folder / "nothing")
    (folder / "folder.csv").mkdir()
    return {
        "pipe": str(folder / "pipe.csv"),
        "socket": str(folder / "socket.csv"),
        "device": "/dev/null",
        "endless device": "/dev/zero",
        "folder": str(folder / "folder.csv"),
        "missing": str(folder / "missing.csv"),
        "loop": str(folder / "loop.csv"),
        "no target": str(folder / "no_target.csv"),
        "long": str(folder / ("x" * 300 + ".csv")),
        "not UTF-8": os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.csv"),
    }


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_refuses_what_is_no_file(entrance: str, things: dict[str, str], tmp_path: Path) -> None:
    from tests.small_slides import tissue_with_nuclei, write_slide

    slide = str(write_slide(tmp_path / "s.svs", tissue_with_nuclei(300, 300)[0]))
    code = (
        "import json, sys, signal\n"
        "from wsi_parse.cli.main import main\n"
        "for kind, arguments in json.loads(sys.stdin.read()):\n"
        "    sys.argv[1:] = arguments\n"
        "    signal.alarm(60)\n"
        "    try:\n        main()\n        code = 0\n"
        "    except SystemExit as end:\n        code = end.code\n"
        "    print('@', kind, code, file=sys.stderr, flush=True)\n"
    )
    import json

    calls = [
        (kind, [part.replace("{slide}", slide).replace("{}", things[kind]) for part in ENTRANCES[entrance]])
        for kind in KINDS
    ]
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=600,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"WSI_PARSE_CACHE": str(tmp_path / "cache"), "LC_ALL": "C"},
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "traceback" not in ended.stderr
    told = ended.stderr.split("@ ")
    for kind, text, after in zip(KINDS, told, told[1:], strict=False):
        answer = after.splitlines()[0]
        assert answer.startswith(kind), ended.stderr
        message = text.partition("\n")[2] if kind != KINDS[0] else text
        if (entrance, kind) not in FINE:
            assert answer.rpartition(" ")[2] in {"1", "2"}, f"{entrance}, {kind}: {ended.stderr}"
            assert message.strip(), f"{entrance}, {kind}"
        assert len(message) < 1200, f"{entrance}, {kind}: {message}"


# A folder without slides is empty, and no error of a cohort's list; a folder is looked for runs and annotations.
FINE: set[tuple[str, str]] = set()


def test_what_is_unforeseen() -> None:
    assert tracebacks.is_unforeseen(ZeroDivisionError())
    failure = StageError("It failed.")
    assert not tracebacks.is_unforeseen(failure)
    failure.__cause__ = PluginError("A plug-in failed.")
    assert not tracebacks.is_unforeseen(failure)
    failure.__cause__.__cause__ = KeyError("x")
    assert tracebacks.is_unforeseen(failure)
    assert not tracebacks.is_unforeseen(UsageError("Wrong."))
    assert not tracebacks.is_unforeseen(OSError(28, "No space left on device"))
    assert not tracebacks.is_unforeseen(KeyboardInterrupt())


def test_a_folder_of_tracebacks_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSI_PARSE_CACHE", str(tmp_path))
    monkeypatch.setattr(tracebacks, "_files", {})
    (tmp_path / "errors").mkdir(mode=0o700)
    for number in range(40):
        (tmp_path / "errors" / f"error-20200101-0000{number:02d}-1.txt").touch()
    (tmp_path / "errors" / "mine.txt").touch()
    kept = tracebacks.keep_traceback(ValueError("a"))
    assert kept is not None
    assert tracebacks.keep_traceback(ValueError("b")) == kept
    assert "ValueError: a" in kept.read_text()
    assert "ValueError: b" in kept.read_text()
    names = sorted(path.name for path in (tmp_path / "errors").iterdir())
    assert len(names) == 21
    assert "mine.txt" in names
    assert kept.name in names
