"""The page as a whole: what it says, what it never does, and that it is the same each time."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.report.pages import (
    GLANDS,
    NUCLEI,
    TUMOUR,
    crowd,
    discs,
    manifest_of,
    page_of,
    slide_of,
    tissue_of,
    words_of,
)
from wsi_parse.cautions import mostly_unsure
from wsi_parse.geometry import Box
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.check import check_file
from wsi_parse.report.citations import Citation
from wsi_parse.report.page import ModelNotes

HOSTILE = "<script>alert(1)</script>\"'\n\u202egnp.svs 😐 {{ 7 * 7 }} &amp; مرحبا"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}


class Reading(HTMLParser):
    """Collects elements, and fails where they are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Read a page, and check what is true of every page."""
    reading = Reading()
    reading.feed(page)
    assert not reading.open
    links = [str(one.get("href") or one.get("xlink:href") or "") for _, one in reading.elements]
    assert all(link.startswith(("#", "data:")) for link in links if link), "no request leaves the machine"
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", page)
    assert not [tag for tag, _ in reading.elements if tag in {"script", "iframe", "object", "embed", "form"}]
    assert not [name for _, one in reading.elements for name in one if name.startswith("on")]
    names = [one["id"] for _, one in reading.elements if one.get("id")]
    assert len(names) == len(set(names))
    assert {link[1:] for link in links if link.startswith("#")} <= set(names)
    assert "Research use only, not for clinical decisions" in words_of(page)
    return reading.elements


def several() -> list[Any]:
    return [
        discs(crowd(1, 150, 100, 1100), class_probability=0.83, probability_mean=0.9),
        discs(crowd(2, 50, 300, 800), row=1, class_probability=0.51, probability_mean=0.8),
        discs(crowd(3, 40, 600, 900), row=2, class_probability=0.93, probability_mean=0.9),
        discs([(600, 600), (1000, 500)], row=4, radius=120, probability_mean=0.7),
    ]


THREE = (NUCLEI, TUMOUR, GLANDS)


def test_several_prompts_cells_and_regions(tmp_path: Path) -> None:
    notes = ModelNotes("Trained on\nlittle.\n\nF1 0.5.", Citation("Somebody 2020", "@misc{x}"), {"nuclei": 0.7})
    page = page_of(tmp_path, several(), THREE, notes=notes)
    found, words = elements(page), words_of(page)
    assert next(one["id"] for tag, one in found if tag == "section") == "cautions"
    boxes = {one["id"] for tag, one in found if tag == "input"}
    assert {"show-0", "show-1", "show-2", "show-tissue", "heat-0", "heat-2", "zoom-4"} <= boxes
    assert len([one for tag, one in found if tag == "figure" and one.get("id")]) == 30
    for text in (
        "sure from a class probability of 0.7",
        "Nucleus: Unsure",
        "150 50 200",
        "% covered",
        "Trained on little.",
        "Somebody 2020",
        "CoNSeP (colon adenocarcinoma",
        "not the chance that it is right",
        "wsi-parse array --prompt nuclei --prompt 'neoplastic cells' --prompt glands --model stain",
        "1.2 s",
    ):
        assert text in words, text
    assert page.count('aria-hidden="true"') == 5, "area of two, probability of three"


@pytest.mark.parametrize("prompts", [(NUCLEI,), (GLANDS,), THREE], ids=["cells", "regions", "both"])
@pytest.mark.parametrize("has_tissue", [True, False])
def test_nothing_found_with_and_without_tissue(tmp_path: Path, prompts: tuple[Prompt, ...], has_tissue: bool) -> None:
    slide = slide_of()
    page = page_of(tmp_path, [], prompts, slide=slide, tissue=tissue_of(slide, found=has_tissue))
    words, found = words_of(page), elements(page)
    assert words.count("Nothing was found.") == 2 * len(prompts)
    assert ("no tissue to refer to" in words) == (not has_tissue)
    assert len([one for tag, one in found if tag == "figure" and one.get("id")]) == (10 if has_tissue else 0)
    assert "heat-none" not in page
    assert "nan" not in words.lower().split()


def test_regions_only(tmp_path: Path) -> None:
    page = page_of(tmp_path, [discs([(600, 600)], radius=150, probability_mean=0.7)], [GLANDS])
    words = words_of(page)
    assert "% of the tissue" in words
    assert "Densest 1" in words
    assert "Mean probability of the pixels" in words
    elements(page)


def test_a_region_of_interest_is_outlined_and_bounds_the_tissue(tmp_path: Path) -> None:
    slide = slide_of()
    tissue = tissue_of(slide, region=shapely.box(300, 300, 900, 800))
    manifest = manifest_of(slide, [NUCLEI], tissue)
    manifest["settings"]["slide"]["roi"] = "roi.geojson"
    page = page_of(tmp_path, [discs(crowd(1, 30, 320, 780))], slide=slide, tissue=tissue, manifest=manifest)
    assert 'class="region"' in page
    assert "inside the region of interest" in words_of(page)
    assert f"{600 * 500 / 4e6:.3g} mm² of tissue" in words_of(page)
    elements(page)


def test_cautions_come_before_everything_with_their_remedy(tmp_path: Path) -> None:
    slide = slide_of()
    caution = mostly_unsure("nuclei", 0.8)
    manifest = manifest_of(slide, [NUCLEI], tissue_of(slide), cautions=[caution.to_dict()], limitations=["It guesses."])
    words = words_of(page_of(tmp_path, several()[:1], manifest=manifest))
    assert words.index(caution.text) < words.index(caution.remedy) < words.index("It guesses.") < words.index("per mm²")


def test_hostile_names_are_only_words(tmp_path: Path) -> None:
    slide = slide_of()
    prompt = Prompt(HOSTILE, HOSTILE, "cell", HOSTILE, (1, 2, 3), known=False)
    manifest = manifest_of(slide, [prompt], tissue_of(slide))
    manifest["slide"] |= {"name": HOSTILE, "vendor": HOSTILE, "mpp_source": HOSTILE}
    manifest["model"] |= {"name": HOSTILE, "summary": HOSTILE, "licence": HOSTILE, "purpose": HOSTILE}
    manifest |= {"limitations": [HOSTILE], "existence": {HOSTILE: {"sentence": HOSTILE}}, "counts": {HOSTILE: 3}}
    manifest["cautions"] = [{"code": HOSTILE, "text": HOSTILE, "number": None, "remedy": HOSTILE}]
    manifest["formats"] = {HOSTILE: {"files": [HOSTILE], "how_to_open": HOSTILE}}
    manifest["passes"] = [
        {"name": HOSTILE, "prompts": [HOSTILE], "tiles": 1, "field_um": 1.0, "read_mpp": 1.0, "object_mpp": 1.0}
        | {"overlap_px": 1}
    ]
    manifest["settings"]["model"]["organ"] = HOSTILE
    notes = ModelNotes(HOSTILE, Citation(HOSTILE, HOSTILE))
    page = page_of(tmp_path, [discs(crowd(1, 30, 300, 700))], [prompt], manifest=manifest, notes=notes)
    elements(page)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "49" not in re.findall(r"gnp\.svs 😐 (\S+)", page)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20
    assert "\\u202egnp.svs" in page


def test_the_same_run_gives_the_same_page_but_for_its_times(tmp_path: Path) -> None:
    given = several()
    one = page_of(tmp_path, given, THREE)
    other = page_of(tmp_path, [part for batch in given for part in batch.parts(13)], THREE)
    assert one == other
    before, _, after = one.partition('<div id="times">')
    assert "1.2 s" not in before + after.partition("</div>")[2]


def test_a_page_that_is_too_large_gets_smaller_pictures(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    slide = slide_of()
    slide.source[:] = random.integers(0, 255, slide.source.shape)
    whole = page_of(tmp_path, several(), THREE, slide=slide)
    limit = len(whole.encode()) // 2
    small = page_of(tmp_path, several(), THREE, slide=slide, max_bytes=limit)
    assert len(small.encode()) <= limit
    elements(small)


def test_fields_are_annotations_that_qupath_takes_and_count_from_its_corner(tmp_path: Path) -> None:
    slide = slide_of(bounds=Box(200, 100, 1300, 1000))
    page = page_of(tmp_path, [discs(crowd(1, 100, 400, 900))], slide=slide)
    (link,) = [str(one["href"]) for tag, one in elements(page) if tag == "a" and "download" in one]
    path = tmp_path / "fields.geojson"
    path.write_bytes(base64.b64decode(link.partition("base64,")[2]))
    features = json.loads(path.read_bytes())["features"]
    assert features[0]["properties"]["name"] == "Densest 1"
    x, y = features[0]["geometry"]["coordinates"][0][0]
    assert f"<code>{x}, {y}, " in page
    assert 200 <= x + 200 <= 900
    assert check_file(path).accepted
    assert not check_file(path).counts


def test_a_name_that_was_given_hides_the_file(tmp_path: Path) -> None:
    slide = slide_of()
    manifest = manifest_of(slide, [NUCLEI], tissue_of(slide))
    manifest["slide"]["name"] = manifest["settings"]["slide"]["name"] = "case 7"
    words = words_of(page_of(tmp_path, several()[:1], manifest=manifest))
    assert "wsi-parse SLIDE --prompt nuclei --name 'case 7'" in words
