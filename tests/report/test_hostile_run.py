"""A slide, a prompt, a class and a group that are named like a script go through everything, and do nothing there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.browser import PHONE, WIDE, Browser, screenshots
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse import RunSettings, list_cohort, run_cohort
from wsi_parse.cli.main import app
from wsi_parse.models.contract import ModelSpec, Segmenter
from wsi_parse.models.scale_pass import Channel, Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.registry import MODELS
from wsi_parse.run.result import Run
from wsi_parse.settings import ModelSettings

pytestmark = pytest.mark.whole

FILE = "<script>alert(1)</script> ünï 😐.svs"
NAME = "<script>alert(1)<script> <img src=x onerror=alert(1)> ünï 😐.svs"
WORDS = "<script>alert(2)</script> <img src=x onerror=alert(3)> ünï 😐"


class AnyWords(Segmenter):
    """Finds what is dark, whatever it is asked for."""

    spec = ModelSpec("any-words", "Finds what is dark.", ("nuclei",), free_text=True)

    @classmethod
    def plan(cls, prompts: Sequence[Prompt], settings: ModelSettings) -> tuple[ScalePass, ...]:
        del settings
        recipes = tuple(Recipe(prompt, "dark") for prompt in prompts)
        return (ScalePass("dark", 256.0, 0.5, (Channel("dark", "probability"),), recipes),)

    def predict(self, images: np.ndarray, scale_pass: ScalePass, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {"dark": np.clip((190.0 - images.mean(axis=3)) / 60.0, 0.0, 1.0)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of one slide and one that fails, an evaluation of it, and what a notebook shows of it."""
    folder = tmp_path_factory.mktemp("hostile")
    # The slash in its name makes the first half a folder.
    slide = folder / FILE
    slide.parent.mkdir()
    write_slide(slide, tissue_with_nuclei(700, 500)[0])
    listed = f'path,group\n"{slide}","{WORDS}"\n"{folder / "absent.svs"}","{WORDS}"\n'
    (folder / "list.csv").write_text(listed, encoding="utf-8")
    export: Any = {"classes": {WORDS: {"name": WORDS, "colour": [200, 0, 0]}}, "heat_map": True}
    settings = RunSettings(
        prompts=[WORDS], model="any-words", slide={"name": NAME}, export=export, objects={"min_region_area_um2": 5}
    )
    MODELS.add("any-words", AnyWords)
    out = folder / "out"
    try:
        outcomes = run_cohort(list_cohort(folder / "list.csv", out), out, settings)
    finally:
        MODELS.remove("any-words")
    assert [one.state for one in outcomes] == ["done", "failed"]
    assert outcomes[0].counts[WORDS] > 20
    result = out / outcomes[0].id
    found = json.loads((result / "annotations.geojson").read_text(encoding="utf-8"))
    assert found["features"][0]["properties"]["classification"]["name"] == WORDS
    del found["features"][:3]
    found["features"][0]["properties"]["classification"] = {"name": f"{WORDS} 2", "color": [0, 0, 200]}
    (folder / "corrected.geojson").write_text(json.dumps(found), encoding="utf-8")
    asked = [
        "evaluate",
        "--truth",
        folder / "corrected.geojson",
        "--pred",
        result,
        "--out-html",
        out / "evaluation.html",
    ]
    told = CliRunner().invoke(app, list(map(str, [*asked, "--overlay", out / "differences.png"])))
    assert told.exit_code == 0, told.output
    run = Run.open(result)
    shown = f"{run._repr_html_()}{run.objects().head()._repr_html_()}"
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A notebook</title></head>'
    (out / "notebook.html").write_text(f"{head}<body>{shown}</body></html>", encoding="utf-8")
    (result / "report.html").rename(out / "report.html")
    return out


@pytest.mark.parametrize("window", [WIDE, PHONE])
@pytest.mark.parametrize(
    ("name", "says", "scripts"),
    [
        ("report.html", [NAME, WORDS], 0),
        ("cohort.html", [NAME, WORDS], 1),
        ("evaluation.html", [WORDS, f"{WORDS} 2"], 0),
        ("notebook.html", [NAME, WORDS], 0),
    ],
)
def test_names_are_words_on_every_page(
    browser: Browser, out: Path, name: str, says: list[str], scripts: int, window: tuple[int, int, bool]
) -> None:
    with browser.open(out / name, window) as tab:
        tab.picture(screenshots() / f"hostile-{name.removesuffix('.html')}-{window[0]}.jpg")
        text = tab.run("document.body.textContent.replace(/\\s+/g, ' ')")
        for words in says:
            assert words in text
        assert tab.run("document.querySelectorAll('script').length") == scripts
        assert (
            tab.run("[...document.querySelectorAll('img')].filter((one) => !one.src.startsWith('data:')).length") == 0
        )
        assert tab.complaints == []
        assert len(tab.requests) == 1
        if name != "notebook.html":
            assert tab.overflow_px <= 0
            assert tab.clipped == []
