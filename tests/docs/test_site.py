"""The site of the documentation is built without a warning, and asks nothing of another server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from wsi_parse.prompts import TARGETS

# What a browser fetches by itself; links that a reader follows are free.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\b(?:src|srcset)=["']?(?:https?:)?//"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|url\(\s*["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--builder", "html"]
    command += ["--conf-dir", "docs", "--doctree-dir", str(out / "trees"), ".", str(out / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = [path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert not [page for page in pages if not (site / page).is_file()]
    assert 'url=README.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_no_request_leaves_the_pages(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > 30
    found = {path.name: FETCHED.findall(path.read_text(encoding="utf-8")) for path in files}
    assert not {name: hits for name, hits in found.items() if hits}


@pytest.mark.parametrize(
    "text", ['<script src="https://a/b.js">', "<img alt='' src=//a/b.png>", "url(http://a)", '<link href="https://a">']
)
def test_a_request_would_be_noticed(text: str) -> None:
    assert FETCHED.search(text)
    assert not FETCHED.search('<a href="https://a">, <img src="b.png">, <link rel="canonical" href="https://a">')


def test_the_reference_has_commands_and_docstrings(site: Path) -> None:
    commands = (site / "docs/reference/commands.html").read_text(encoding="utf-8")
    for text in ("wsi-parse cohort", "--cell-expansion", "wsi-parse models get"):
        assert text in re.sub(r"<[^>]+>", "", commands)
    assert "wsi_parse.segment_slide" in (site / "docs/reference/python.html").read_text(encoding="utf-8")


def test_all_known_words_are_told() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): cells for line in page.splitlines() if len(cells := line.split("|")) == 7}
    for target in TARGETS:
        _, _, made_as, class_name, synonyms, narrower, _ = rows[target.name]
        assert (made_as.strip(), class_name.strip()) == (f"{target.kind}s", target.class_name)
        assert synonyms.strip() == ", ".join(target.synonyms)
        assert narrower.strip() == ", ".join(target.narrower)


def test_what_a_container_copies_is_there() -> None:
    folder = ROOT / "workflows" / "containers"
    docker = re.findall(r"^COPY (.+) \S+$", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    copied = [name for names in docker for name in names.split()]
    definition = (folder / "wsi-parse.def").read_text(encoding="utf-8")
    assert copied == re.findall(r"^    (\S+) /tmp/source/\S+$", definition, re.MULTILINE)
    assert copied
    assert not [name for name in copied if not (ROOT / name).exists()]
