"""The page is built with the package, into wheels and source distributions; without npm it is left out."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.browser import missing

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "wsi_parse" / "viewer" / "client"
PACKAGE = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
PAGE = {"index.html", "viewer.js", "viewer.css", "THIRD_PARTY_LICENSES.txt"}
#: Where nothing answers.
NOWHERE = "http://127.0.0.1:9"


def test_versions_are_exact() -> None:
    pinned = PACKAGE["dependencies"] | PACKAGE["devDependencies"]
    assert pinned
    assert [version for version in pinned.values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_the_lock_names_hashes_and_no_address() -> None:
    lock = (CLIENT / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in lock
    packages = json.loads(lock)["packages"]
    assert len(packages) > 2
    assert [name for name, one in packages.items() if name and not one["integrity"].startswith("sha512-")] == []


@pytest.mark.parametrize("path", sorted(CLIENT.glob("src/*.ts")), ids=lambda path: path.name)
def test_sources_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert re.match(r"// \S.{15,}", text)
    assert "innerHTML" not in text
    assert "eval(" not in text


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (CLIENT / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|style=|\son\w+=|<script(?![^>]*src=)", page) == []


def test_several_builds_at_a_time_leave_one_whole_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each works in a folder of its own; the page is moved into place as a whole, over that of another build."""
    hook = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert hook
    assert hook.loader
    hatch_build = importlib.util.module_from_spec(hook)
    hook.loader.exec_module(hatch_build)
    (tmp_path / "wsi_parse" / "viewer" / "client").mkdir(parents=True)
    (tmp_path / "wsi_parse" / "viewer" / "client" / "index.html").write_text("the page")
    folders, together = [], Barrier(6)

    def run(command: list[str], folder: Path, _: str) -> None:
        if command[-2] == "build.mjs":
            assert (folder / "index.html").read_text() == "the page"
            folders.append(folder)
            Path(command[-1]).mkdir()
            (Path(command[-1]) / "index.html").write_text("built")
            together.wait(30)

    monkeypatch.setattr(hatch_build, "_run", run)
    with ThreadPoolExecutor(6) as pool:
        for each in [pool.submit(hatch_build.build, tmp_path) for _ in range(6)]:
            each.result()
    assert len(set(folders)) == 6
    static = tmp_path / "wsi_parse" / "viewer" / "static"
    assert sorted(path.name for path in static.iterdir()) == [".sources", "index.html"]
    assert hatch_build.is_current(tmp_path)
    assert list((tmp_path / "build").iterdir()) == []


def copied(folder: Path) -> Path:
    """What hatchling needs of this repository, and nothing that was built."""
    ours = shutil.ignore_patterns("node_modules", "static", "__pycache__")
    shutil.copytree(ROOT / "wsi_parse", folder / "wsi_parse", ignore=ours)
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
        "sdist"
    ]["include"]:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / ".gitignore", folder)
    return folder


def build(folder: Path, *targets: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")]
    for target in targets:
        command += ["-t", target]
    values = os.environ | {"npm_config_cache": str(folder / "cache")} | environment
    return subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True, timeout=900, check=False)


def in_wheel(folder: Path) -> set[str]:
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as wheel:
        return {name for name in wheel.namelist() if name.startswith("wsi_parse/viewer/")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of which wheel and source distribution were built."""
    folder = copied(tmp_path_factory.mktemp("built"))
    done = build(folder, "sdist", "wheel", WSI_PARSE_VIEWER="require")
    if done.returncode and re.search(r"npm cannot load|there is no npm", done.stderr):
        missing(f"the page cannot be built here: {done.stderr[-400:]}")
    assert not done.returncode, done.stderr[-2000:]
    return folder


@pytest.mark.whole
def test_a_wheel_has_the_page_and_not_its_sources(built: Path) -> None:
    names = in_wheel(built)
    assert {name for name in names if not name.endswith(".py")} == {f"wsi_parse/viewer/static/{name}" for name in PAGE}


@pytest.mark.whole
def test_a_source_distribution_has_both(built: Path) -> None:
    with tarfile.open(next((built / "dist").glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {f"wsi_parse/viewer/static/{name}" for name in PAGE} <= names
    assert {
        "hatch_build.py",
        "wsi_parse/viewer/client/package-lock.json",
        "wsi_parse/viewer/client/src/main.ts",
    } <= names
    assert not [name for name in names if "node_modules" in name]


@pytest.mark.whole
def test_what_is_built_is_not_built_again(built: Path, tmp_path: Path) -> None:
    """Nothing is loaded; a changed source is noticed."""
    again = tmp_path / "again"
    shutil.copytree(built, again, ignore=shutil.ignore_patterns("node_modules", "dist", "cache"))
    done = build(again, "wheel", WSI_PARSE_VIEWER="require", npm_config_registry=NOWHERE)
    assert not done.returncode, done.stderr[-2000:]
    with (again / "wsi_parse" / "viewer" / "client" / "viewer.css").open("a") as css:
        css.write("\n")
    done = build(again, "wheel", WSI_PARSE_VIEWER="require", npm_config_registry=NOWHERE)
    assert done.returncode
    assert "npm cannot load" in done.stderr


@pytest.mark.whole
def test_without_npm_the_package_is_built_without_the_page(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    done = build(folder, "wheel", npm_config_registry=NOWHERE)
    assert not done.returncode, done.stderr[-2000:]
    assert "wsi-parse is built without its viewer (`wsi-parse view`): " in done.stdout + done.stderr
    assert [name for name in in_wheel(folder) if not name.endswith(".py")] == []


@pytest.mark.whole
def test_types_are_right(built: Path) -> None:
    """The compiler finds nothing, in its strictest form but for unchecked indices."""
    npm = shutil.which("npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert npm
    folder = shutil.copytree(built / "wsi_parse" / "viewer" / "client", built / "build" / "client")
    options = {"cwd": folder, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([npm, "ci"], **options)
    assert not done.returncode, done.stderr[-1000:]
    done = subprocess.run([npm, "run", "check"], **options)
    assert not done.returncode, done.stdout[-3000:]
