"""cohort.html and wsi_parse_mqc.json: what they say, in which order, what they never do, and how large they get."""

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.report.pages import words_of
from tests.report.test_page import Reading
from wsi_parse.cohort import Outcome, tables
from wsi_parse.cohort.distributions import grouped_measures
from wsi_parse.cohort.measures import measures_of, outliers
from wsi_parse.cohort.tables import remove_page, write_tables

HOSTILE = "<script>alert(1)</script> ünï 😐"
# A name of a folder cannot hold a slash.
HOSTILE_ID = "<img src=x onerror=alert(1)> javascript:alert(1) ünï 😐 #7 100%"
CAUTION = {"code": "no-tissue", "text": "No tissue was found.", "number": 0.0, "remedy": "Look at the slide."}


def done(name: str, density: float = 100.0, **values: Any) -> Outcome:
    counts = {"nuclei": round(density * 2)}
    values = {"counts": counts, "per_mm2": {"nuclei": density}, "tissue_mm2": 2.0, "seconds": 12.0, **values}
    return Outcome(id=name, slide=values.pop("slide", f"{name}.svs"), state="done", model="mini", **values)


def failed(name: str, error: str = "It has no pixel size. Give it with --mpp.", **values: Any) -> Outcome:
    return Outcome(id=name, slide=f"{name}.svs", state="failed", error=error, error_stage="opening", **values)


def run_folder(out: Path, name: str, side: int = 300) -> None:
    """The folder of a slide with what the page looks for."""
    (out / name).mkdir(parents=True)
    (out / name / "report.html").write_text("a page")
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out / name / "overlay.png", compress_level=1)


def written(outcomes: list[Outcome], out: Path) -> tuple[str, list[tuple[str, dict[str, str | None]]]]:
    """Write a page, and check what is true of every page of a cohort; return it with its elements."""
    assert write_tables(outcomes, out, page=True) == []
    page = (out / "cohort.html").read_text(encoding="utf-8")
    reading = Reading()
    reading.feed(page)
    assert not reading.open
    found = reading.elements
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert [one for tag, one in found if tag == "script"] == [{}]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(str(one["content"]) for _, one in found if one.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    links = [str(one.get("href") or one.get("xlink:href") or one.get("src") or "") for _, one in found]
    assert all(link.startswith(("#", "data:", "./")) for link in links if link)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", page.replace(script, ""))
    assert not [name for _, one in found for name in one if name.startswith("on")]
    names = [one["id"] for _, one in found if one.get("id")]
    assert len(names) == len(set(names))
    assert {link[1:] for link in links if link.startswith("#")} <= set(names)
    assert "Research use only, not for clinical decisions" in words_of(page)
    return page, found


def test_failures_then_cautions_then_the_table(tmp_path: Path) -> None:
    run_folder(tmp_path, "a")
    outcomes = [
        done("a", group="x", extra={"age": 61}, median_nuclear_area_um2=31.5),
        failed("b", group="y", extra={"age": 7}),
        done("c", group="y", cautions=[CAUTION], unsure={"nuclei": 50}),
        Outcome(id="d", slide="d.svs", state="open"),
    ]
    page, found = written(outcomes, tmp_path)
    words = words_of(page)
    places = [
        words.index(text)
        for text in (
            "Give it with --mpp.",
            "--retry-failed",
            "1 slide is open",
            CAUTION["text"],
            CAUTION["remedy"],
            "61",
        )
    ]
    assert places == sorted(places)
    rows = [one for tag, one in found if tag == "tr" and "data-row" in one]
    assert [row["data-kinds"] for row in rows] == ["done", "failed", "done caution", "open"]
    assert [str(one["href"]) for tag, one in found if tag == "a" and str(one["href"])[0] == "."] == [
        "./a/report.html"
    ] * 2
    assert len([one for tag, one in found if tag == "image"]) == 1
    heads = re.findall(r"<button type=\"button\">(.*?)</button>", page)
    assert heads[-2:] == ["time, s", "age"]
    assert "25%" in words, "unsure ones of c"


def test_hostile_names_are_only_words(tmp_path: Path) -> None:
    run_folder(tmp_path, HOSTILE_ID)
    names = {"group": HOSTILE, "extra": {HOSTILE: HOSTILE}}
    outcomes = [
        done(HOSTILE_ID, counts={HOSTILE: 5}, per_mm2={HOSTILE: 2.5}, slide=HOSTILE, limitations=[HOSTILE], **names),
        done("b", counts={HOSTILE: 5}, per_mm2={HOSTILE: 2.5}, unsure={HOSTILE: 1}).model_copy(
            update={"cautions": [{"code": HOSTILE, "text": HOSTILE, "number": None, "remedy": HOSTILE}] * 2}
        ),
        failed("c", HOSTILE, **names),
    ]
    page, found = written(outcomes, tmp_path)
    assert page.count("<script") == 1
    assert not [one for tag, one in found if tag == "img"]
    address = next(str(one["href"]) for tag, one in found if tag == "a" and "report.html" in str(one.get("href")))
    assert address.startswith("./%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%20javascript%3Aalert")
    assert address.endswith("%20%237%20100%25/report.html")
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; ünï 😐") > 15
    assert "<" not in re.sub(r'"[^"]*": ', "", (tmp_path / "wsi_parse_mqc.json").read_text(encoding="utf-8"))


def test_what_a_cohort_without_results_says(tmp_path: Path) -> None:
    page, _ = written([failed("a"), failed("b")], tmp_path)
    words = words_of(page)
    for text in ("0 done, 2 failed", "No slide is done.", "No slide stands out.", "There are no overlays to show"):
        assert text in words, text


def test_outliers_are_flagged_and_few_slides_have_none() -> None:
    spread = np.random.default_rng(1).uniform(-0.1, 0.1, 40)
    outcomes = [
        done(str(number), 100 * np.exp(one), median_nuclear_area_um2=30.0, staining={"glass": 240.0 + one})
        for number, one in enumerate(spread)
    ]
    outcomes[7] = done("7", 0.0, median_nuclear_area_um2=30.0, staining={"glass": 240.0})
    outcomes[9] = done("9", 100.0, median_nuclear_area_um2=90.0, staining={"glass": 200.0}, unsure={"nuclei": 100})
    found = {(one.index, one.measure.title.split(",")[0]) for one in outliers(measures_of(outcomes))}
    assert found == {
        (7, "nuclei"),
        (9, "median nuclear area"),
        (9, "objects of an unsure class"),
        (9, "brightness of the glass"),
    }
    assert outliers(measures_of(outcomes[5:12])) == []


def test_distributions_count_each_slide_once_and_are_files_to_save() -> None:
    outcomes = [done(str(number), density, group="x") for number, density in enumerate((10.0, 20, 30, 1000))]
    outcomes += [done("y", 500.0, group="y $2^1$ < &#010203 #1"), done("z", 5.0), failed("f", group="x")]
    (density,) = grouped_measures(outcomes, measures_of(outcomes))
    assert {row.name: (len(row.values), row.quantile(0.5)) for row in density.rows} == {
        "(none)": (1, 5.0),
        "x": (4, 25.0),
        "y $2^1$ < &#010203 #1": (1, 500.0),
        "all slides": (6, 25.0),
    }
    drawing = base64.b64decode(density.files["svg"]).decode()
    texts = "".join(ElementTree.fromstring(drawing).itertext())
    assert "y $2^1$ < &#010203 #1" in texts
    assert "nuclei, per mm² of tissue" in texts
    points = [one for one in ElementTree.fromstring(drawing).iter() if "fill-opacity: 0.75" in one.get("style", "")]
    assert len([one for one in points if one.tag.endswith("use")]) == 12, "each slide in its group, and among all"
    assert "var(--" in density.svg
    assert "var(--" not in drawing
    assert "#3b6ea5" in drawing
    pdf = base64.b64decode(density.files["pdf"])
    assert pdf.startswith(b"%PDF-")
    assert b"Date" not in pdf
    assert len(pdf) < 60_000
    assert grouped_measures(outcomes, measures_of(outcomes))[0].files == density.files
    assert grouped_measures(outcomes[1:], measures_of(outcomes[1:]))[0].files["pdf"] != density.files["pdf"]


def test_a_slide_beyond_the_axis_is_a_mark_at_its_edge() -> None:
    outcomes = [done(str(number), 100.0 + number) for number in range(9)] + [done("far", 90_000.0)]
    (density,) = grouped_measures(outcomes, measures_of(outcomes))
    drawing = ElementTree.fromstring(base64.b64decode(density.files["svg"]).decode())
    marks = [one for one in drawing.iter() if one.tag.endswith("use") and one.get("x")]
    points = [one for one in marks if "fill-opacity: 0.75" in one.get("style", "")]
    assert len(points) == 9
    right = max(float(one.get("x", 0)) for one in points)
    assert any(float(one.get("x", 0)) > right + 10 for one in marks if one not in points)


def test_multiqc_gets_numbers_and_the_notice(tmp_path: Path) -> None:
    write_tables([done("a", 50.0, cautions=[CAUTION]), failed("b")], tmp_path)
    content = json.loads((tmp_path / "wsi_parse_mqc.json").read_text(encoding="utf-8"))
    assert (content["id"], content["section_name"], content["plot_type"]) == ("wsi_parse", "wsi-parse", "table")
    assert "research use only" in content["description"]
    numbers = {"cautions": 1, "tissue_mm2": 2.0, "count_nuclei": 100, "per_mm2_nuclei": 50.0, "seconds": 12.0}
    assert content["data"] == {"a": {"state": "done", **numbers}, "b": {"state": "failed"}}
    assert set(numbers) < set(content["headers"])
    assert not (tmp_path / "cohort.html").exists(), "the page is written at the end only"


def test_thumbnails_are_kept_and_follow_their_overlays(tmp_path: Path) -> None:
    run_folder(tmp_path, "a")
    first, _ = written([done("a")], tmp_path)
    (kept,) = (tmp_path / ".cohort" / "thumbnails" / "a").iterdir()
    before = kept.stat().st_mtime_ns
    assert written([done("a")], tmp_path)[0] == first
    assert kept.stat().st_mtime_ns == before
    Image.new("RGB", (50, 40)).save(tmp_path / "a" / "overlay.png")
    assert written([done("a")], tmp_path)[0] != first
    assert not kept.exists()
    (tmp_path / "a" / "overlay.png").write_bytes(b"no picture")
    assert "There are no overlays to show" in words_of(written([done("a")], tmp_path)[0])


def thousand(out: Path) -> list[Outcome]:
    """A large cohort, with the folders of its slides."""
    outcomes = []
    for number, density in enumerate(np.random.default_rng(3).lognormal(7, 0.4, 1000).tolist()):
        # Noise, which no picture is larger than.
        run_folder(out, f"slide-{number}", 60 if number % 10 else 240)
        extra = {f"column {index}": index for index in range(8)}
        values = {"cautions": [CAUTION] * (number % 5 == 0), "median_nuclear_area_um2": 30.0 + number % 7}
        outcomes.append(done(f"slide-{number}", density, group=f"centre {number % 6}", extra=extra, **values))
    return outcomes


@pytest.mark.whole
def test_a_thousand_slides_are_less_than_25_mb(tmp_path: Path) -> None:
    outcomes = thousand(tmp_path)
    began = time.process_time()
    page, found = written(outcomes, tmp_path)
    assert time.process_time() - began < 60
    assert 2_000_000 < len(page.encode()) < 25_000_000
    assert len([one for tag, one in found if tag == "tr" and "data-row" in one]) == 1000
    assert len([one for tag, one in found if tag == "image"]) == 1000


def test_a_page_that_is_out_of_date_goes_but_not_one_that_a_person_changed(tmp_path: Path) -> None:
    page = tmp_path / "cohort.html"
    write_tables([done("a", 50.0)], tmp_path, page=True)
    remove_page(tmp_path)
    assert not page.exists()
    write_tables([done("a", 50.0)], tmp_path, page=True)
    page.write_text("a remark")
    remove_page(tmp_path)
    assert page.read_text() == "a remark"


def test_a_page_that_cannot_be_made_costs_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise KeyError("a fault of ours")

    write_tables([done("a", 50.0)], tmp_path, page=True)
    monkeypatch.setattr(tables, "cohort_page", fails)
    notes = write_tables([done("a", 50.0), done("b", 60.0)], tmp_path, page=True)
    assert [note for note in notes if "cohort.html could not be made" in note and "tables are complete" in note]
    assert "\nb," in (tmp_path / "cohort.csv").read_text()
    assert not (tmp_path / "cohort.html").exists(), "it would contradict the tables"
