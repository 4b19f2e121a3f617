"""One damaged stored tile costs no slide: a run that needs it stops, or leaves it out and counts it if told to."""

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.damaged import damage
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse import segment_slide
from wsi_parse.errors import WsiParseError
from wsi_parse.geometry import Box
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings import RunSettings

MPP, SIDE = 0.5, 1200


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Box]:
    """A slide, the same one with a damaged tile, and where the tile lies."""
    folder = tmp_path_factory.mktemp("slide")
    pixels, _ = tissue_with_nuclei(SIDE, SIDE)
    for name in ("whole", "damaged"):
        (folder / name).mkdir()
        write_slide(folder / name / "a.svs", pixels, MPP)
    (tile,) = damage(folder / "damaged" / "a.svs", 12)
    return folder / "whole" / "a.svs", folder / "damaged" / "a.svs", tile


def settings(*overrides: str, **slide_settings: Any) -> RunSettings:
    tiles = ["model.field_um=128", "objects.chunk_px=128", *overrides]
    return RunSettings.load(None, tiles, prompts=("nuclei",), model="stain", slide=slide_settings)


def objects(folder: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads((folder / "annotations.geojson").read_text())["features"]
    return features


def test_without_the_option_the_error_names_the_place_and_the_option(
    slide: tuple[Path, Path, Box], tmp_path: Path
) -> None:
    _, damaged, tile = slide
    with pytest.raises(WsiParseError, match=rf"x {tile.x}, y {tile.y}: .*slide\.skip_unreadable=true"):
        segment_slide(damaged, tmp_path, settings())


def test_with_it_the_tile_is_left_out_counted_and_listed(slide: tuple[Path, Path, Box], tmp_path: Path) -> None:
    whole, damaged, tile = slide
    segment_slide(whole, tmp_path / "whole", settings())
    segment_slide(damaged, tmp_path / "damaged", settings(skip_unreadable=True))
    before, found = (RunManifest.load(tmp_path / name) for name in ("whole", "damaged"))
    assert before is not None
    assert found is not None
    assert before.unreadable == {}
    assert found.unreadable == {"tiles": 1, "of": 25, "tiles_level0_px": [(tile.x, tile.y, tile.width, tile.height)]}
    (caution,) = (each for each in found.cautions if each["code"] == "unreadable-tiles")
    assert caution["number"] == 1
    assert "1 of 25" in caution["text"]
    tile_mm2 = tile.area * MPP**2 / 1e6
    assert found.tissue_mm2 == pytest.approx(before.tissue_mm2 - tile_mm2, rel=0.01)
    assert found.per_mm2["nuclei"] == pytest.approx(found.counts["nuclei"] / found.tissue_mm2, rel=0.01)
    square = shapely.box(tile.x, tile.y, tile.right, tile.bottom)
    shapes = [shapely.geometry.shape(each["geometry"]) for each in objects(tmp_path / "damaged")]
    # A contour may cross the border of a pixel by half of it.
    assert not shapely.intersects(shapes, square.buffer(-1)).any()
    tissue = json.loads((tmp_path / "damaged" / "tissue.geojson").read_text())["features"]
    assert not any(shapely.geometry.shape(each["geometry"]).intersects(square.buffer(-1)) for each in tissue)
    far = square.buffer(40)
    kept = {shape.wkt for shape in shapes if not shape.intersects(far)}
    right = [shapely.geometry.shape(each["geometry"]) for each in objects(tmp_path / "whole")]
    expected = {shape.wkt for shape in right if not shape.intersects(far)}
    # The stain is estimated without the tile: a contour may move by a part of a pixel.
    assert len(kept) == pytest.approx(len(expected), abs=2)


def test_the_result_depends_on_neither_blocks_nor_a_failure_before(
    slide: tuple[Path, Path, Box], tmp_path: Path
) -> None:
    _, damaged, _ = slide
    names = ("annotations.geojson", "tissue.geojson", "overlay.png")
    outputs = []
    for folder, overrides in (("one", ()), ("other", ("tiles.block=1",)), ("after", ("compute.workers=0",))):
        if folder == "after":
            with pytest.raises(WsiParseError):
                segment_slide(damaged, tmp_path / folder, settings())
        segment_slide(damaged, tmp_path / folder, settings(*overrides, skip_unreadable=True))
        outputs.append([(tmp_path / folder / name).read_bytes() for name in names])
    assert outputs[0] == outputs[1] == outputs[2]


def test_other_outputs_of_the_same_objects_keep_what_was_left_out(
    slide: tuple[Path, Path, Box], tmp_path: Path
) -> None:
    _, damaged, _ = slide
    segment_slide(damaged, tmp_path, settings(skip_unreadable=True))
    first = RunManifest.load(tmp_path)
    segment_slide(damaged, tmp_path, settings("export.gzip=true", skip_unreadable=True))
    again = RunManifest.load(tmp_path)
    assert again is not None
    assert again.reused
    assert (again.unreadable, again.tissue_mm2, again.per_mm2) == (first.unreadable, first.tissue_mm2, first.per_mm2)
    assert "unreadable-tiles" in {each["code"] for each in again.cautions}
    with pytest.raises(WsiParseError, match=r"slide\.skip_unreadable"):
        segment_slide(damaged, tmp_path, settings())


def test_a_damaged_tile_outside_the_region_costs_nothing(slide: tuple[Path, Path, Box], tmp_path: Path) -> None:
    whole, damaged, tile = slide
    outputs = []
    corners = [[tile.right + 60, 150], [1050, 150], [1050, 1050], [tile.right + 60, 1050], [tile.right + 60, 150]]
    region = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [corners]}}
    (tmp_path / "roi.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [region]}))
    for path, folder in ((whole, "whole"), (damaged, "damaged")):
        segment_slide(
            path,
            tmp_path / folder,
            settings("export.overlay_px=0", "export.report=false", roi=tmp_path / "roi.geojson"),
        )
        outputs.append(len(objects(tmp_path / folder)))
        manifest = RunManifest.load(tmp_path / folder)
        assert manifest is not None
        assert (manifest.unreadable, "unreadable-tiles" in {each["code"] for each in manifest.cautions}) == ({}, False)
    assert outputs[0] == pytest.approx(outputs[1], abs=1)
    assert outputs[1] > 50
