"""The house rules that no linter knows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import wsi_parse

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = sorted((ROOT / "wsi_parse").rglob("*.py"))
OURS = ("wsi_parse", "tests", "configs", "docs", "workflows", "benchmarks", ".ci", ".github")
SUFFIXES = {".py", ".toml", ".txt", ".yaml", ".yml", ".md", ".cff", ".groovy", ".sh", ".smk", ""}


def texts() -> list[Path]:
    """All text files of the repository."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in OURS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    ours = [path for path in files if path.name != ".coverage" and "node_modules" not in path.parts]
    return sorted(path for path in ours if path.suffix in SUFFIXES)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def loaded_by(code: str) -> set[str]:
    """Top-level packages that are loaded after running some code in a new interpreter."""
    code += "\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


HEAVY = {"torch", "dask", "distributed", "openslide", "tiffslide", "tifffile", "zarr", "skimage", "scipy", "pyarrow"}
HEAVY |= {"jinja2", "matplotlib"}


def test_import_loads_nothing_heavy() -> None:
    loaded = loaded_by("import wsi_parse")
    assert "wsi_parse" in loaded
    assert not loaded & (HEAVY | {"numpy"})


def test_help_loads_nothing_heavy() -> None:
    """What keeps `wsi-parse --help` quick; seconds are not asserted."""
    loaded = loaded_by(
        "import sys; sys.argv = ['wsi-parse', '--help']\n"
        "from wsi_parse.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_public_names_exist() -> None:
    for name in wsi_parse.__all__:
        assert getattr(wsi_parse, name) is not None


def test_one_version() -> None:
    """It stands in `_version.py`: what is built takes it from there, and the citation does without."""
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "wsi_parse/_version.py"
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PYPROJECT["project"]
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f'__version__ = "{wsi_parse.__version__}"' in (ROOT / "wsi_parse" / "_version.py").read_text("utf-8")
    assert f" {wsi_parse.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_citation() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == PYPROJECT["project"]["license"]


def test_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines)


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)]
    assert not odd
    assert len(pins()) == len(lines)
    assert lines == sorted(lines, key=lambda line: line.split("==")[0].lower()), "the order of pip freeze"


def asked_for() -> list[str]:
    groups = PYPROJECT["dependency-groups"].values()
    # Several GPUs are at nobody's hand here: what they need is not installed, and not pinned.
    # Neither is spatialdata, which wants an older Dask.
    extras = [PYPROJECT["project"]["optional-dependencies"][name] for name in ("cluster", "dicom")]
    listed = [PYPROJECT["project"]["dependencies"], *extras, *groups]
    return sorted({item for items in listed for item in items if isinstance(item, str)})


@pytest.mark.parametrize("requirement", asked_for())
def test_what_is_asked_for_is_pinned(requirement: str) -> None:
    wanted = Requirement(requirement)
    pinned = {canonicalize_name(name): version for name, version in pins().items()}
    assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_first_line_says_what_a_file_is(path: Path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert re.match(r'"""\S.{8,}', first), first
    assert "TODO" not in first


# Written so that they do not find themselves.
MACHINE = re.compile(r"/(?:work|root|opt)/|\b(?:index[-_]url|find[-_]links|python[h]osted|artifactor[y])\b")


@pytest.mark.parametrize("path", texts(), ids=named)
def test_no_trace_of_a_machine(path: Path) -> None:
    found = MACHINE.findall(path.read_text(encoding="utf-8"))
    assert not found


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_label_and_macro_images_are_never_opened(path: Path) -> None:
    """They show the patient's name (invariant 12); OpenSlide and tiffslide give them by this one property."""
    assert "associated_images" not in path.read_text(encoding="utf-8")


def test_every_command_of_make_is_told() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line.split()[1] for line in done.stdout.splitlines()] == phony[1].split()


def test_ci_runs_the_one_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "not executable"
    assert script.read_text(encoding="utf-8").endswith("make test\n")


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_what_the_page_on_the_architecture_names_is_there() -> None:
    """Paths and names in backticks: the page cannot outlive what it describes."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    quoted = re.findall(r"`([^`\n]+)`", ARCHITECTURE)
    files = [name for name in quoted if name.endswith(".py")]
    names = [name for name in quoted if re.fullmatch(r"[A-Za-z_]{4,}(\.[a-z_]+)?", name) and name not in files]
    assert len(files) > 30
    assert len(names) > 20
    stems = {path.name for path in SOURCES}
    roots = ROOT / "wsi_parse", ROOT
    missing = [
        name
        for name in files
        if not any((root / name).is_file() for root in roots) and ("/" in name or name not in stems)
    ]
    assert not missing
    known = [name for name in names if (ROOT / name).exists() or re.search(rf"\b{name.partition('.')[0]}\b", code)]
    assert names == known
