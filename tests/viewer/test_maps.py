"""Maps, places and the region of a run in the viewer: they are what the run wrote, on the server and on the screen."""

import json
import shutil
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient

from tests.browser import PHONE, Browser, Tab, screenshots
from tests.small_slides import tissue_with_nuclei, write_slide
from tests.viewer.served import TOKEN, Link, click, complaints, go, middle_of_slide, press, served, state, text
from wsi_parse import Run, RunSettings, segment_slide
from wsi_parse.errors import StoreError
from wsi_parse.viewer.app import application
from wsi_parse.viewer.counts import TILE_PX
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.slide_view import Entry, SlideView
from wsi_parse.viewer.subject import Request, opened_of

pytestmark = pytest.mark.whole

WIDTH, HEIGHT = 1300, 900
#: What is searched: the upper left part of the slide, with a corner cut off.
REGION = shapely.Polygon([(0, 0), (1000, 0), (1000, 500), (700, 800), (0, 800)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in a region of interest, which kept its maps; a pixel of them is 5 / 3 level-0 pixels wide."""
    folder = tmp_path_factory.mktemp("maps")
    pixels, _ = tissue_with_nuclei(WIDTH, HEIGHT)
    slide = write_slide(folder / "a.svs", pixels, mpp=0.3)
    (folder / "drawn.geojson").write_text(shapely.to_geojson(REGION))
    settings = RunSettings.load(
        None,
        ["export.keep=predictions", "model.field_um=128", "tiles.block=1"],
        prompts=("nuclei",),
        model={"name": "stain"},
        slide={"roi": folder / "drawn.geojson"},
    )
    return segment_slide(slide, folder / "out", settings)


def view_of(run: Run, temporary: Path, said: list[str] | None = None) -> SlideView:
    say = (lambda _: None) if said is None else said.append
    return opened_of(Request(run.folder, run.folder.parent / "a.svs", (), temporary, say)).view(0)


def stitched(view: SlideView, zoom: int) -> tuple[np.ndarray, np.ndarray]:
    """All tiles of a zoom side by side: probabilities in steps of 1/255, and where there are any."""
    (tiles,) = view.maps
    side = TILE_PX << zoom
    facts = tiles.to_dict()
    shape = -(-facts["height"] // side), -(-facts["width"] // side)
    whole = np.zeros((2, shape[0] * TILE_PX, shape[1] * TILE_PX), np.uint8)
    for row, column in np.ndindex(shape):
        content = tiles.tile(zoom, column, row)
        assert content is not None
        part = np.frombuffer(content, np.uint8).reshape(2, TILE_PX, TILE_PX)
        place = np.s_[:, row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        whole[place] = part
    return whole[0], whole[1].astype(bool)


def test_tiles_are_the_map(run: Run, tmp_path: Path) -> None:
    truth = run.probability("nuclei")
    array = truth.array.compute()
    height, width = array.shape
    assert (truth.frame.scale_x, np.isnan(array).any()) == (pytest.approx(5 / 3, rel=2e-3), True)
    view = view_of(run, tmp_path)
    facts = view.to_dict(cohort=False)["maps"][0]
    assert facts["scale"] == [truth.frame.scale_x, truth.frame.scale_y]
    assert (facts["prompt"], facts["meaning"], facts["width"], facts["height"]) == ("nuclei", "target", width, height)
    values, seen = stitched(view, 0)
    assert np.array_equal(seen[:height, :width], ~np.isnan(array))
    assert np.array_equal(values[:height, :width], np.nan_to_num(np.rint(array * 255)).astype(np.uint8))
    assert not seen[height:].any()
    assert not seen[:, width:].any()


@pytest.mark.parametrize("zoom", [1, 2, 3])
def test_farther_away_tiles_are_means_of_what_was_predicted(run: Run, tmp_path: Path, zoom: int) -> None:
    array = np.rint(run.probability("nuclei").array.compute() * 255)
    values, seen = stitched(view_of(run, tmp_path), zoom)
    step = 1 << zoom
    for row, column in np.ndindex(-(-array.shape[0] // step), -(-array.shape[1] // step)):
        square = array[row * step : (row + 1) * step, column * step : (column + 1) * step]
        known = square[~np.isnan(square)]
        assert seen[row, column] == bool(len(known))
        assert abs(float(values[row, column]) - (known.mean() if len(known) else 0)) <= 0.5


@pytest.mark.parametrize("place", [(-1, 0, 0), (4, 0, 0), (0, -1, 0), (0, 2, 0), (0, 0, 99), (3, 1, 0)])
def test_beyond_the_map_there_are_no_tiles(run: Run, tmp_path: Path, place: tuple[int, int, int]) -> None:
    assert view_of(run, tmp_path).maps[0].tile(*place) is None


def test_maps_have_addresses(run: Run, tmp_path: Path) -> None:
    view = view_of(run, tmp_path)
    gate = application(Opened([Entry("a", "done", 1, (), lambda: view)], tmp_path, cohort=False), {}, TOKEN, 2)
    client = TestClient(gate, "http://127.0.0.1:5000", headers={"Authorization": f"Bearer {TOKEN}"})
    found = client.get("/s/0/maps/0/0/0/0.bin")
    assert found.content == view.maps[0].tile(0, 0, 0)
    again = client.get("/s/0/maps/0/0/0/0.bin", headers={"If-None-Match": found.headers["etag"]})
    assert again.status_code == 304
    for address in (
        "/s/0/maps/1/0/0/0.bin",
        "/s/0/maps/-1/0/0/0.bin",
        "/s/0/maps/0/0/9/0.bin",
        "/s/0/maps/x/0/0/0.bin",
    ):
        assert client.get(address).status_code == 404
    assert TestClient(gate, "http://127.0.0.1:5000").get("/s/0/maps/0/0/0/0.bin").status_code == 403


def test_damaged_maps_are_named_and_the_rest_is_shown(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "out")
    shutil.copy(run.folder.parent / "a.svs", tmp_path)
    for path in folder.glob(".work/maps-*/*/maps.json"):
        path.write_text("{")
    said: list[str] = []
    view = view_of(Run.open(folder), tmp_path / "t", said)
    assert view.maps == []
    assert view.layers[0].to_dict(0)["objects"] > 100
    assert len(said) == 1
    assert "maps.json" in said[0]
    assert "--keep predictions" in said[0]
    assert view_of(run, tmp_path / "u").maps


def copied(run: Run, folder: Path) -> Run:
    """A run of which a test may break something."""
    shutil.copytree(run.folder, folder / "out")
    shutil.copy(run.folder.parent / "a.svs", folder)
    return Run.open(folder / "out")


@pytest.mark.parametrize("lost", [".work/maps-*", ".work/maps-*/*/done", ".work/maps-*/*/*/c"])
def test_maps_that_vanish_while_they_are_shown_are_an_error_and_not_zero(run: Run, tmp_path: Path, lost: str) -> None:
    mine = copied(run, tmp_path)
    (tiles,) = view_of(mine, tmp_path / "t").maps
    assert np.frombuffer(tiles.tile(0, 0, 0) or b"", np.uint8).max() > 200
    for path in mine.folder.glob(lost):
        shutil.rmtree(path)
    with pytest.raises(StoreError, match="damaged or were removed at block"):
        tiles.tile(0, 0, 0)
    with pytest.raises(StoreError, match="--keep predictions"):
        tiles.tile(2, 0, 0)


def test_a_map_that_fails_is_switched_off_and_the_rest_goes_on(drawing: Browser, run: Run, tmp_path: Path) -> None:
    mine = copied(run, tmp_path)
    view = view_of(mine, tmp_path / "t")
    for path in mine.folder.glob(".work/maps-*"):
        shutil.rmtree(path)
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        press(tab, "m")
        tab.wait_for("!document.getElementById('message').hidden")
        assert "damaged or were removed" in text(tab, "#message")
        assert tab.run("document.getElementById('map-of').value") == ""
        now = go(tab, 300, 300, 1)
        assert now["total"] > 0
        assert text(tab, "#message button") == "Close"


def test_maps_that_were_removed_are_said_to_be(run: Run, tmp_path: Path) -> None:
    mine, said = copied(run, tmp_path), list[str]()
    for path in mine.folder.glob(".work/maps-*"):
        shutil.rmtree(path)
    assert view_of(mine, tmp_path / "t", said).maps == []
    assert ["were removed" in one for one in said] == [True]


@pytest.mark.parametrize("content", [None, "{", '{"type": "Point", "coordinates": [1, 2]}'])
def test_a_region_that_was_changed_is_not_shown_and_this_is_said(run: Run, tmp_path: Path, content: str | None) -> None:
    mine, said = copied(run, tmp_path), list[str]()
    if content is None:
        (mine.folder / "region.geojson").unlink()
    else:
        (mine.folder / "region.geojson").write_text(content)
    view = view_of(mine, tmp_path / "t", said)
    assert view.areas()["roi"] == []
    assert len(view.areas()["tissue"]) == 1
    assert [one.split(" in ")[0] for one in said] == ["region.geojson"]
    assert {one["kind"] for one in view.places()["fields"]} == {"Densest", "Least certain"}


def test_a_run_that_kept_no_maps_has_none(tmp_path: Path) -> None:
    pixels, _ = tissue_with_nuclei(600, 500)
    run = segment_slide(write_slide(tmp_path / "a.svs", pixels), tmp_path / "out", prompts="nuclei", model="stain")
    view = view_of(run, tmp_path / "t")
    assert view.to_dict(cohort=False)["maps"] == []
    assert view.areas()["roi"] == []
    assert not (tmp_path / "out" / "region.geojson").exists()


def test_the_region_is_that_of_the_run(run: Run, tmp_path: Path) -> None:
    (ring,) = view_of(run, tmp_path).areas()["roi"]
    assert shapely.Polygon(np.reshape(ring, (-1, 2))).equals(REGION)
    (feature,) = json.loads((run.folder / "region.geojson").read_text())["features"]
    assert feature["properties"]["classification"]["name"] == "Region*"
    assert feature["properties"]["isLocked"] is True
    assert "region.geojson" in run.manifest.outputs


def test_what_could_not_be_read_is_an_area(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "out")
    shutil.copy(run.folder.parent / "a.svs", tmp_path)
    manifest = json.loads((folder / "run.json").read_text())
    tiles = [[256, 0, 256, 256], [512, 0, 256, 256], [256, 512, 256, 256]]
    manifest["unreadable"] = {"tiles": 3, "of": 24, "tiles_level0_px": tiles}
    (folder / "run.json").write_text(json.dumps(manifest))
    rings = view_of(Run.open(folder), tmp_path / "t").areas()["unreadable"]
    found = shapely.union_all([shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in rings])
    assert found.equals(shapely.union_all([shapely.box(x, y, x + w, y + h) for x, y, w, h in tiles]))
    assert len(rings) == 2
    assert view_of(run, tmp_path / "u").areas()["unreadable"] == []


def test_places_lie_in_the_region(run: Run, tmp_path: Path) -> None:
    fields = view_of(run, tmp_path).places()["fields"]
    assert {one["kind"] for one in fields} == {"Densest", "Least certain", "Random"}
    for one in fields:
        box = shapely.box(one["x0"], one["y0"], one["x1"], one["y1"])
        assert box.intersection(REGION).area > 0.2 * box.area
    page = (run.folder / "report.html").read_text()
    assert all(one["text"] in page for one in fields)


def test_the_least_certain_objects_are_those_with_the_lowest_probability(run: Run, tmp_path: Path) -> None:
    view = view_of(run, tmp_path)
    found = view.places()["objects"]
    table = pq.read_table(run.folder / "objects.parquet").to_pandas()
    truth = table.sort_values("probability_mean", kind="stable").head(100)
    assert [one["row"] for one in found] == truth.index.tolist()
    assert len(found) == 100 < len(table)
    for one, (_, row) in zip(found, truth.iterrows(), strict=True):
        assert (one["x"], one["y"]) == pytest.approx((row.centroid_x_level0, row.centroid_y_level0), abs=0.01)
        assert one["text"] == f"{row.class_name}, mean probability {row.probability_mean:.3f}"


def screen(tab: Tab) -> np.ndarray:
    taken = Image.open(BytesIO(b64decode(tab.call("Page.captureScreenshot", format="png")["data"])))
    return np.asarray(taken.convert("RGB")).astype(int)


def test_a_map_is_drawn_over_the_slide(drawing: Browser, run: Run, tmp_path: Path) -> None:
    """Its brightest place on the screen is where the map says, and the legend and the footer say what it is."""
    truth = run.probability("nuclei")
    array = np.nan_to_num(truth.array.compute())
    row, column = np.unravel_index(int(array.argmax()), array.shape)
    x, y = (column + 0.5) * truth.frame.scale_x, (row + 0.5) * truth.frame.scale_y
    with served([view_of(run, tmp_path)], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        go(tab, x, y, 3)
        press(tab, "o")
        press(tab, "s")
        state(tab)
        middle = middle_of_slide(tab)
        at = tuple(int(value) for value in middle[::-1])
        before = screen(tab)[at]
        press(tab, "m")
        state(tab)
        after = screen(tab)[at]
        assert tab.run("document.getElementById('map-of').value") == "0"
        # The upper end of the scale is yellow.
        assert after[0] - after[2] > 60 + (before[0] - before[2])
        assert "Probability of “nuclei”" in text(tab, "#legend")
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=middle[0], y=middle[1])
        tab.wait_for(f"document.getElementById('place').textContent.endsWith(', nuclei {array.max():.2f}')")
        kept = tab.wait_for("/map=0/.test(location.hash) && location.href")
        press(tab, "m")
        state(tab)
        assert (screen(tab)[at] == before).all()
        assert complaints(tab) == []
        with drawing.open(Link(kept)) as other:
            state(other)
            assert (screen(other)[at] == after).all()


def test_farther_away_a_map_asks_to_come_nearer_or_is_a_mean(drawing: Browser, run: Run, tmp_path: Path) -> None:
    with served([view_of(run, tmp_path)], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        press(tab, "m")
        state(tab)
        tab.picture(screenshots() / "viewer-map.jpg", whole=False)
        assert "Probability of" in text(tab, "#legend")
        # The heat map makes room for it.
        assert "Objects in a square" not in text(tab, "#legend")


def test_the_least_certain_objects_are_stepped_through(drawing: Browser, run: Run, tmp_path: Path) -> None:
    view = view_of(run, tmp_path)
    places = view.places()["objects"]
    table = pq.read_table(run.folder / "objects.parquet").to_pandas()
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        assert text(tab, "#kind option") == "Least certain objects"
        for one in places[:3]:
            press(tab, "n")
            now = state(tab)
            assert now["picked"] == {"layer": 0, "row": one["row"]}
            assert (now["x"], now["y"]) == pytest.approx((one["x"], one["y"]), abs=0.5)
            assert text(tab, "#details code") == table["id"][one["row"]]
        tab.picture(screenshots() / "viewer-step.jpg", whole=False)
        assert "3 of 100: Nucleus, mean probability" in text(tab, "#steps p")
        kept = tab.wait_for(f"location.hash.includes('o=0.{places[2]['row']}') && location.href")
        press(tab, "Escape")
        tab.wait_for("!location.hash.includes('o=')")
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}s/0/?token={TOKEN}#{kept.split('#')[1]}")) as tab:
        state(tab)
        assert text(tab, "#details code") == table["id"][places[2]["row"]]


def test_steps_are_of_the_classes_that_are_shown_and_marked_without_outlines(
    drawing: Browser, run: Run, tmp_path: Path
) -> None:
    with served([view_of(run, tmp_path)], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        press(tab, "o")
        press(tab, "n")
        state(tab)
        marked = screen(tab)
        press(tab, "Escape")
        state(tab)
        assert (np.abs(marked - screen(tab)).max(axis=2)[60:840, 330:] > 100).sum() > 50
        tab.run("document.querySelectorAll('.row input')[0].click()")
        press(tab, "n")
        state(tab)
        assert text(tab, "#steps p") == "None of the classes that are shown."


def test_details_that_cannot_be_read_are_not_those_of_another_object(
    drawing: Browser, run: Run, tmp_path: Path
) -> None:
    mine = copied(run, tmp_path)
    view = view_of(mine, tmp_path / "t")
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        press(tab, "n")
        state(tab)
        assert text(tab, "#details code")
        # Another group of rows would be read anew; here the only one is forgotten.
        view.layers[0].details._groups._kept.clear()
        (mine.folder / "objects.parquet").rename(mine.folder / "moved.parquet")
        press(tab, "n")
        tab.wait_for("!document.getElementById('message').hidden")
        assert "cannot be read" in text(tab, "#message")
        assert tab.run("document.querySelector('#details code')") is None
        (mine.folder / "moved.parquet").rename(mine.folder / "objects.parquet")
        tab.run("document.querySelector('#message button').click()")
        tab.wait_for("!!document.querySelector('#details code')")


def test_long_prompts_fit_a_phone(drawing: Browser, run: Run, tmp_path: Path) -> None:
    view = view_of(run, tmp_path)
    assert view.manifest is not None
    for number in range(6):
        view.manifest.prompts.append({**view.manifest.prompts[0], "text": f"a rather long prompt, number {number}"})
    with served([view], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}"), window=PHONE) as tab:
        state(tab)
        assert tab.overflow_px <= 0
        for selector in ("#show-help", "#theme", "#closer", "#whole", "#place"):
            right = tab.run(f"document.querySelector('{selector}').getBoundingClientRect().right")
            assert right <= PHONE[0]


def test_a_link_to_what_is_not_there_is_harmless(drawing: Browser, run: Run, tmp_path: Path) -> None:
    with served([view_of(run, tmp_path)], tmp_path) as site:
        for odd in ("o=0.99999999", "o=7.1", "o=x", "map=5", "map=-1", "map=<b>", "o=0.1.2"):
            with drawing.open(Link(f"{site}s/0/?token={TOKEN}#x=500&y=400&z=0&{odd}")) as tab:
                now = state(tab)
                assert (now["picked"], now["x"]) == (None, 500)
                assert complaints(tab) == []


def test_a_click_elsewhere_picks_nothing(drawing: Browser, run: Run, tmp_path: Path) -> None:
    with served([view_of(run, tmp_path)], tmp_path) as site, drawing.open(Link(f"{site}?token={TOKEN}")) as tab:
        state(tab)
        press(tab, "n")
        assert state(tab)["picked"]
        go(tab, 50, 50, 2)
        click(tab, 800, 400)
        assert state(tab)["picked"] is None
