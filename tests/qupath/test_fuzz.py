"""Fuzzed geometries and features are accepted after repair, with the position and size that they had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.exporters.made import batch_of, outlines, written
from tests.qupath.made import SQUARE, collection, feature, fixed, polygon
from wsi_parse.annotations import read_annotations
from wsi_parse.qupath import repair_geometry
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.repair_geometry import MAX_CHANGE_PX2, MAX_CHANGE_SHARE, breaks, fitted
from wsi_parse.qupath.snapping import GRID_PX


def as_features(outlined: NDArray[np.object_]) -> list[dict[str, Any]]:
    geometries = map(json.loads, shapely.to_geojson(outlined))
    return [feature(geometry, number) for number, geometry in enumerate(geometries)]


def most_change(outlined: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return 0.1 % or 1 px2; for outlines of hundreds of px, rounding to 0.01 px may change more."""
    valid = shapely.make_valid(outlined)
    by_share, by_length = MAX_CHANGE_SHARE * shapely.area(valid), 0.0075 * shapely.length(valid)
    return np.maximum.reduce([by_share, np.full(len(valid), MAX_CHANGE_PX2), by_length])


@settings(max_examples=150)
@given(outlined=outlines(), scale=st.sampled_from([1, 1, 7, 50]))
def test_any_outline_becomes_acceptable_and_keeps_its_size_and_id(
    tmp_path_factory: pytest.TempPathFactory, outlined: NDArray[np.object_], scale: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "outlines.geojson"
    first = shapely.get_coordinates(outlined[0])[0]
    moved = (shapely.get_coordinates(outlined) - first) * scale + first
    outlined = shapely.set_coordinates(outlined, moved)
    known = shapely.area(shapely.make_valid(outlined))
    features, result = fixed(path, collection(*as_features(outlined)))
    number = {item["id"]: index for index, item in enumerate(as_features(outlined))}
    shown = shapely.from_geojson([json.dumps(item["geometry"]) for item in features])
    assert [item["id"] for item in features] == [name for name in number if name in {item["id"] for item in features}]
    which = [number[item["id"]] for item in features]
    assert (np.abs(shapely.area(shown) - known[which]) <= most_change(outlined)[which]).all()
    dropped = [number[finding.id or ""] for _, finding in result.dropped]
    assert sorted(which + dropped) == list(range(len(outlined)))
    assert (known[dropped] <= MAX_CHANGE_PX2).all(), "only shapes with almost no area are dropped"
    for index, shape in zip(which, shown, strict=True):
        # Isolated lines have no area.
        solid = shapely.union_all([part for part in polygons_of(shapely.make_valid(outlined[index])) if part.area])
        assert shape.symmetric_difference(solid).area <= GRID_PX * outlined[index].length + GRID_PX**2


def polygons_of(shape: Any) -> list[Any]:
    parts = [part for piece in shapely.get_parts(shape) for part in shapely.get_parts(piece)]
    return [part for part in parts if part.geom_type == "Polygon"]


@settings(max_examples=60)
@given(outlined=outlines(), offset=st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)))
def test_our_own_files_pass_without_a_finding(
    tmp_path_factory: pytest.TempPathFactory, outlined: NDArray[np.object_], offset: tuple[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "writer.geojson"
    fit = fit_for_qupath(outlined)
    batch = batch_of(fit[fit != None])  # noqa: E711 - of each item
    written(path, batch, offset=offset)
    report = check_file(path)
    assert not report.counts
    assert report.features == len(batch)


@settings(max_examples=100)
@given(outlines())
def test_fitted_shapes_break_no_rule_and_do_not_change(outlined: NDArray[np.object_]) -> None:
    once = fitted(outlined)
    left = once[once != None]  # noqa: E711 - of each item
    assert not breaks(left).any()
    assert (fitted(left) == left).all()


def test_a_finer_grid_is_used_where_a_coarse_one_changes_an_area(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sliver of 100 x 0.1 px is lost on quarter pixels, but not on hundredths."""
    sliver = np.array([shapely.Polygon([(0.001, 0), (100, 0), (100, 0.1), (0, 0.1)])], object)
    assert fitted(sliver)[0].area == pytest.approx(10, abs=0.5)
    monkeypatch.setattr(repair_geometry, "_snapped_to_hundredths", lambda shapes: np.full(len(shapes), None, object))
    assert fitted(sliver)[0] is None or abs(fitted(sliver)[0].area - 10) > MAX_CHANGE_PX2


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-300, 300),
        st.floats(),
        st.sampled_from(["", "annotation", "cell", "#ff0000", "NaN", "1.5", "Polygon", "Feature", feature()["id"]]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["name", "names", "color", "colorRGB", "value", "type", "coordinates", "geometries", "id"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
good = st.sampled_from([polygon(), polygon(SQUARE[:-1]), {"type": "MultiPolygon", "coordinates": [[SQUARE]]}])
geometries = st.one_of(
    good,
    good,
    good,
    junk,
    st.builds(lambda value: {"type": "MultiPolygon", "coordinates": value}, junk),
    st.builds(lambda point: polygon([*SQUARE[:3], point, SQUARE[0]]), st.tuples(st.floats(), st.floats())),
)
keys = ["name", "objectType", "object_type", "type", "classification", "color", "measurements", "id", "childObjects"]
properties = st.one_of(st.dictionaries(st.sampled_from(keys), junk, max_size=5), junk)
features = st.fixed_dictionaries(
    {"type": st.sampled_from(["Feature"] * 9 + [None]), "geometry": geometries},
    optional={"id": junk, "nucleusGeometry": geometries, "properties": properties, "more": junk},
)


@settings(max_examples=400)
@given(items=st.lists(features, max_size=4))
def test_any_json_is_checked_repaired_or_dropped(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "junk.geojson"
    made, result = fixed(path, collection(*items))
    report = check_file(path)
    assert len(made) + len(result.dropped) == report.features
    assert report.accepted or result.counts or result.dropped
    assert len({item["id"] for item in made if "id" in item}) == len([item for item in made if "id" in item])
    found = read_annotations(path.with_name(f"fixed-{path.name}"))
    assert len(found) + sum(found.skipped.values()) == len(made)
