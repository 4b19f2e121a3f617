"""The pages in a real browser: axe finds nothing serious, and the table of a cohort sorts and filters.

axe-core comes from npm into a temporary folder; nothing of it is kept.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cohort.test_page import CAUTION, HOSTILE, done, failed, run_folder
from tests.report.pages import page_of
from tests.report.test_page import THREE, several
from wsi_parse.cohort.tables import write_tables

pytestmark = pytest.mark.whole

_AXE = "axe-core@4"
_RUN = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => {
  const told = found.violations.map((one) => [one.impact, one.id, one.nodes.slice(0, 3).map((node) => node.html)]);
  document.body.innerHTML = "<pre id=told></pre>";
  document.getElementById("told").textContent = JSON.stringify(told);
});
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm, which brings axe-core (apt-get install npm)")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, _AXE]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    if ended.returncode:
        pytest.skip("npm cannot install axe-core: no network, or no registry")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("cohort")
    run_folder(out, "a")
    more = {"unsure": {"nuclei": 3}, "median_nuclear_area_um2": 30.0}
    outcomes = [
        done("a", 300.0, group="x", extra={"age": 61}, **more),
        done("b", 9.0, group="y", cautions=[CAUTION], **more),
        failed("c", group=HOSTILE),
        *(done(str(number), 100.0 + number, group="x") for number in range(9)),
        done("far", 90_000.0, group="y", cautions=[CAUTION]),
    ]
    write_tables(outcomes, out, page=True)
    return (out / "cohort.html").read_text(encoding="utf-8")


def in_browser(chromium: str, folder: Path, page: str, script: str, *options: str) -> str:
    """Run a script in a page, and return the document that it leaves; only here, the page allows other scripts."""
    page = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page)
    path = folder / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        *options,
    ]
    command += ["--virtual-time-budget=60000", "--timeout=240000", "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def told_by_axe(chromium: str, folder: Path, page: str, axe: str, *options: str) -> list[Any]:
    document = in_browser(chromium, folder, page, f"{axe}\n{_RUN}", *options)
    found = re.search(r'<pre id="told">(.*?)</pre>', document, re.DOTALL)
    assert found is not None, "axe did not end"
    return [one for one in json.loads(html.unescape(found[1])) if one[0] in ("serious", "critical")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: str, axe: str, cohort: str, scheme: str, tmp_path: Path) -> None:
    options = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    pages = [cohort, page_of(tmp_path, several(), THREE)]
    found = [one for page in pages for one in told_by_axe(chromium, tmp_path, page, axe, *options)]
    assert not found


def test_the_table_sorts_and_filters(chromium: str, cohort: str, tmp_path: Path) -> None:
    script = """
    const rows = () => [...document.querySelectorAll("#table tbody tr")].filter((row) => !row.hidden);
    const names = () => rows().map((row) => row.cells[1].firstElementChild.textContent);
    const press = (text) => [...document.querySelectorAll("th button")].find((one) => one.textContent === text).click();
    const choose = (id, value) => {
      const one = document.getElementById(id);
      one.value = value;
      one.dispatchEvent(new Event("input"));
    };
    const told = {};
    press("nuclei per mm²");
    told.up = names();
    press("nuclei per mm²");
    told.down = names();
    choose("kind", "caution");
    told.cautions = names();
    choose("kind", "");
    choose("group", "y");
    told.group = names();
    choose("group", "");
    choose("search", "  ALERT(1) ");
    told.search = names();
    told.shown = document.getElementById("shown").textContent;
    told.pictures = document.querySelectorAll("figure[data-row]:not([hidden])").length;
    document.body.innerHTML = "<pre id=told></pre>";
    document.getElementById("told").textContent = JSON.stringify(told);
    """
    document = in_browser(chromium, tmp_path, cohort, script)
    told = json.loads(html.unescape(document.split('<pre id="told">')[1].split("</pre>")[0]))
    middle = [str(number) for number in range(9)]
    assert told["up"] == ["b", *middle, "a", "far", "c"], "what has no number comes last"
    assert told["down"] == ["far", "a", *reversed(middle), "b", "c"]
    assert told["cautions"] == ["far", "b"]
    assert told["group"] == ["far", "b"]
    assert told["search"] == ["c"]
    assert told["shown"] == "1 of 13 rows"
    assert told["pictures"] == 0
