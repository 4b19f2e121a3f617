"""Frames, pixel sizes and regions: assumptions are reported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.evaluate.made import annotations, outlines
from wsi_parse.annotations import Annotations
from wsi_parse.errors import UsageError
from wsi_parse.evaluate import EvaluationOptions, evaluate, match_centres
from wsi_parse.evaluate.frames import pixel_size

SLIDE = {"mpp_x_um": 0.25, "mpp_y_um": 0.5, "bounds_level0_px": [300, 700, 5000, 5000], "fingerprint": "a"}
QUPATH = {"frame": "qupath", "offset_level0_px": [300, 700], "slide": SLIDE}
LEVEL0 = {"frame": "level0", "offset_level0_px": [0, 0], "slide": SLIDE}
BOXES = shapely.box([0, 50, 100], 0, [20, 70, 120], 20)


def moved(shapes: Any, x: float, y: float) -> Any:
    return shapely.transform(shapes, lambda points: np.add(points, (x, y)))


class TestFrames:
    @pytest.mark.parametrize(
        ("truth", "pred", "x", "y", "expected_note"),
        [
            (QUPATH, QUPATH, 0, 0, ""),
            ({}, {}, 0, 0, "The prediction and the truth do not state where the coordinates start"),
            ({}, QUPATH, 0, 0, "The truth does not state where the coordinates start"),
            # The truth came back from QuPath, which crops; the prediction counts from the corner of the scan.
            ({}, LEVEL0, 300, 700, "moved by (-300, -700)"),
            (QUPATH, LEVEL0, 300, 700, "moved by (-300, -700)"),
            (LEVEL0, QUPATH, -300, -700, "moved by (300, 700)"),
            (LEVEL0, {}, -300, -700, "The prediction does not state where the coordinates start"),
        ],
    )
    def test_the_prediction_is_brought_into_that_of_the_truth(
        self, truth: dict[str, Any], pred: dict[str, Any], x: float, y: float, expected_note: str
    ) -> None:
        evaluation = evaluate(annotations(BOXES, provenance=truth), annotations(moved(BOXES, x, y), provenance=pred))
        assert evaluation.everything.pq == 1
        notes = " ".join(evaluation.notes)
        assert expected_note in notes
        assert ("coordinates start" in notes) == bool(expected_note)

    def test_files_of_different_slides_are_noted(self) -> None:
        other = {**QUPATH, "slide": {**SLIDE, "fingerprint": "b"}}
        notes = evaluate(annotations(BOXES, provenance=QUPATH), annotations(BOXES, provenance=other)).notes
        assert any("different slides" in note for note in notes)

    def test_pixel_sizes_come_from_the_files_or_the_user(self) -> None:
        assert pixel_size(None, [{}, QUPATH]) == (0.25, 0.5)
        assert pixel_size(0.3, [{}, {}]) == (0.3, 0.3)
        assert pixel_size(None, [{}, {"slide": {"mpp_x_um": None, "mpp_y_um": None}}]) is None

    @pytest.mark.parametrize(
        ("mpp", "fits"), [(0.25, True), (0.2549, True), (0.2455, True), (0.256, False), (0.5, False)]
    )
    def test_a_pixel_size_that_the_files_contradict_is_refused(self, mpp: float, fits: bool) -> None:
        square = {"slide": {"mpp_x_um": 0.25, "mpp_y_um": 0.25}}
        for provenances in ([square, {}], [{}, square]):
            if fits:
                assert pixel_size(mpp, provenances) == (mpp, mpp)
                continue
            with pytest.raises(UsageError, match=rf"--mpp {mpp:g} is not.*0\.25 x 0\.25"):
                pixel_size(mpp, provenances)
        with pytest.raises(UsageError, match=r"0\.25 x 0\.5"):
            evaluate(annotations(BOXES, provenance=QUPATH), annotations(BOXES), EvaluationOptions(mpp=0.25))

    def test_the_radius_is_of_microns_where_pixels_are_oblong(self) -> None:
        for x, y, near in ((23, 0, 3), (25, 0, 0), (0, 11, 3), (0, 13, 0)):
            moved_boxes = annotations(moved(BOXES, x, y), provenance=QUPATH)
            evaluation = evaluate(annotations(BOXES, provenance=QUPATH), moved_boxes)
            assert evaluation.everything.near == near
            assert evaluation.everything.to_dict()["truth_area_um2"] == 1200 * 0.125

    def test_without_a_pixel_size_microns_are_not_guessed(self) -> None:
        evaluation = evaluate(annotations(BOXES), annotations(BOXES))
        result = evaluation.everything.to_dict()
        assert result["centre_f1"] is None
        assert result["truth_area_px2"] == 1200
        assert any("--mpp" in note for note in evaluation.notes)
        assert evaluate(annotations(BOXES), annotations(BOXES), EvaluationOptions(radius="3px")).everything.near == 3


def region_file(folder: Path, *shapes: Any, provenance: dict[str, Any] | None = None) -> Path:
    features = [{"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape))} for shape in shapes]
    path = folder / "region.geojson"
    path.write_text(
        json.dumps(
            {"type": "FeatureCollection", "features": features, **({"wsi_parse": provenance} if provenance else {})}
        )
    )
    return path


class TestRegions:
    def object_sets(self) -> tuple[Annotations, Annotations]:
        """Objects in the region, out of it, and across its border with the centroid on either side."""
        places = ((0, 20, 40, 94, 97, 130), (0, 21, 94, 97, 130, 150))
        truth, pred = (
            annotations([shapely.box(x, 30 * (x == 97), x + 10, 30 * (x == 97) + 10) for x in side]) for side in places
        )
        return truth, pred

    def test_objects_count_by_centroid_and_areas_are_clipped(self, tmp_path: Path) -> None:
        path = region_file(tmp_path, shapely.box(-5, -5, 100, 50))
        result = evaluate(*self.object_sets(), EvaluationOptions(roi=path, radius="3px")).everything.to_dict()
        assert (result["truth"], result["pred"], result["matched"], result["centre_matched"]) == (4, 3, 3, 3)
        assert result["truth_area_px2"] == 300 + 60 + 30
        assert result["pred_area_px2"] == 200 + 60 + 30
        assert result["common_area_px2"] == 100 + 90 + 60 + 30
        assert result["sq"] == pytest.approx((1 + 90 / 110 + 1) / 3)

    def test_a_class_of_the_truth_is_a_region_and_no_object(self) -> None:
        truth, pred = self.object_sets()
        inside = shapely.box(-5, -5, 100, 50)
        both = annotations(
            [*truth.geometry, shapely.box(-5, -5, 60, 50), shapely.box(50, -5, 100, 50)],
            [*truth.class_name, "Reviewed", "Reviewed"],
            types=[*truth.object_type, "annotation", "annotation"],
        )
        found = evaluate(both, pred, EvaluationOptions(roi_class="Reviewed", radius="3px"))
        assert set(found.classes) == {"Tumor"}
        assert (found.everything.truth, found.everything.pred, found.everything.matched) == (4, 3, 3)
        assert found.everything.px2.truth == shapely.area(shapely.intersection(truth.geometry, inside)).sum()
        with pytest.raises(UsageError, match=r"no annotation of class .Seen.*Reviewed"):
            evaluate(both, pred, EvaluationOptions(roi_class="Seen"))

    def test_the_region_is_read_in_its_own_frame(self, tmp_path: Path) -> None:
        truth, pred = (annotations(side.geometry, provenance=QUPATH) for side in self.object_sets())
        path = region_file(tmp_path, shapely.box(295, 695, 400, 750), provenance=LEVEL0)
        assert evaluate(truth, pred, EvaluationOptions(roi=path)).everything.truth == 4

    def test_agrees_with_a_raster(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(3)
        labels = [
            np.kron(rng.permutation(64).reshape(8, 8) * (rng.random((8, 8)) < 0.7), np.ones((4, 4), int)) for _ in "ab"
        ]
        shapes = [outlines(image) for image in labels]
        disc = shapely.Point(16, 16).buffer(11, quad_segs=1)
        result = evaluate(*map(annotations, shapes), EvaluationOptions(roi=region_file(tmp_path, disc))).everything
        union = [shapely.union_all(side) & disc for side in shapes]
        assert result.px2.both == pytest.approx((union[0] & union[1]).area)
        assert result.dice == pytest.approx(2 * (union[0] & union[1]).area / (union[0].area + union[1].area))
        counts = [sum(disc.covers(shape.centroid) for shape in side) for side in shapes]
        assert [result.truth, result.pred] == counts

    def test_an_object_redrawn_across_the_border_is_no_deletion(self, tmp_path: Path) -> None:
        truth = annotations([shapely.box(96, 0, 120, 10)], ids=["a"])
        pred = annotations([shapely.box(90, 0, 105, 10), shapely.box(130, 0, 140, 10)], ids=["a", "b"])
        path = region_file(tmp_path, shapely.box(0, 0, 100, 50))
        review = evaluate(truth, pred, EvaluationOptions(roi=path)).review
        assert review is not None
        assert ([item["id"] for item in review.reshaped], review.deleted, review.added) == (["a"], [], [])

    def test_an_empty_region_and_two_of_them_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no polygon"):
            evaluate(*self.object_sets(), EvaluationOptions(roi=region_file(tmp_path)))
        with pytest.raises(UsageError, match="cannot be used together"):
            EvaluationOptions(roi=tmp_path, roi_class="Seen")


class TestClassesAndKinds:
    def test_unsure_counts_as_sure_unless_kept_apart(self) -> None:
        truth, pred = annotations(BOXES), annotations(BOXES, ["Tumor", "Tumor: Unsure", "Tumor: Positive"])
        together = evaluate(truth, pred)
        assert together.classes["Tumor"].matched == 2
        assert any("1 object of a class" in note for note in together.notes)
        assert set(together.classes) == {"Tumor", "Tumor: Positive"}
        apart = evaluate(truth, pred, EvaluationOptions(keep_unsure=True))
        assert apart.classes["Tumor"].matched == 1
        assert apart.confusion["Tumor", "Tumor: Unsure"] == 1

    def test_no_class_is_unclassified_and_starred_ones_are_left_out(self) -> None:
        evaluation = evaluate(annotations(BOXES, ["", "Ignore*", ""]), annotations(BOXES, ["", "Tumor", "Tumor"]))
        assert set(evaluation.classes) == {"Unclassified", "Tumor"}
        assert evaluation.everything.truth == 2
        assert any("Ignore*" in note for note in evaluation.notes)

    def test_kinds_of_objects(self) -> None:
        types = ["detection", "cell", "annotation"]
        nucleus = np.array([None, shapely.box(55, 5, 65, 15), None], object)
        plain = annotations(BOXES, types=types)
        both = Annotations(plain.geometry, plain.ids, plain.class_name, plain.object_type, nucleus, {"Point": 2}, {})
        areas = {
            kind: evaluate(both, both, EvaluationOptions(objects=kind)).everything.px2.truth  # type: ignore[arg-type]
            for kind in ("all", "cells", "nuclei", "regions")
        }
        assert areas == {"all": 1200, "cells": 800, "nuclei": 500, "regions": 400}
        notes = evaluate(both, both).notes
        assert any("--objects" in note for note in notes)
        assert any("2 features are left out: Point" in note for note in notes)
        with pytest.raises(UsageError, match="Use one of: all, cells"):
            EvaluationOptions(objects="organs")  # type: ignore[arg-type]

    @pytest.mark.parametrize("objects", [None, "all", "regions"])
    def test_tissue_of_a_run_is_no_object(self, objects: Any) -> None:
        """The import script adds it; an object of that class that is not an annotation stays."""
        tissue = shapely.box(-10, -10, 300, 300)
        types, classes = ["annotation", "annotation", "detection"], ["Tumor", "Stroma", "Tissue"]
        pred = annotations(BOXES, classes, types=types)
        truth = annotations([*BOXES, tissue], [*classes, "Tissue"], types=[*types, "annotation"])
        plain, result = (
            evaluate(pred, pred, EvaluationOptions(objects=objects)),
            evaluate(truth, pred, EvaluationOptions(objects=objects)),
        )
        assert result.to_dict() | {"notes": []} == plain.to_dict() | {"notes": []}
        assert [note for note in result.notes if note not in plain.notes] == [
            "Annotations of class Tissue are left out: 1 of the truth and 0 of the prediction."
        ]
        within = evaluate(truth, pred, EvaluationOptions(objects=objects, roi_class="Tissue"))
        assert within.everything == plain.everything
        assert not any("of class Tissue" in note for note in within.notes)

    def test_cells_meet_nuclei_by_their_nucleus(self) -> None:
        nuclei = shapely.buffer(BOXES, -6)
        plain = annotations(BOXES, ids=["a", "b", "c"], types=["cell", "cell", "annotation"])
        inside = np.array([*nuclei[:2], None], object)
        cells = Annotations(plain.geometry, plain.ids, plain.class_name, plain.object_type, inside, {}, {})
        alone = annotations(
            [*nuclei[:2], BOXES[2]], ids=["a", "b", "c"], types=["detection", "detection", "annotation"]
        )
        for truth, pred, words in ((alone, cells, "The prediction has"), (cells, alone, "The truth has")):
            result = evaluate(truth, pred)
            assert result.everything.pq == result.everything.dice == 1
            assert result.review is not None
            assert result.review.kept == ["a", "b", "c"]
            assert any(words in note and "nuclei are compared" in note for note in result.notes)
            for objects, matched in (("all", 1), ("cells", 0)):
                asked = evaluate(truth, pred, EvaluationOptions(objects=objects))  # type: ignore[arg-type]
                assert asked.everything.matched == matched
                assert any(words in note and "--objects nuclei compares" in note for note in asked.notes)
        # Where both have nuclei, or the other has cells, whole cells are compared.
        for other in (cells, plain):
            result = evaluate(other, cells)
            assert result.everything.px2.truth == result.everything.px2.both == 1200
            assert not any("nuclei" in note for note in result.notes)

    def test_crossing_outlines_are_repaired_and_flat_ones_left_out(self) -> None:
        bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
        flat = shapely.Polygon([(0, 0), (10, 10), (0, 0)])
        evaluation = evaluate(annotations([bow, flat]), annotations([bow]))
        assert evaluation.everything.pq == 1
        assert evaluation.everything.px2.truth == pytest.approx(50)
        assert any("repaired" in note for note in evaluation.notes)
        assert any("without area" in note for note in evaluation.notes)

    @pytest.mark.parametrize("words", ["6", "6um", "6 µm", "6.0UM"])
    def test_radii_in_words(self, words: str) -> None:
        assert EvaluationOptions(radius=words).radius_number() == (6.0, "um")

    @pytest.mark.parametrize(
        "wrong", [{"radius": "far"}, {"radius": "-1px"}, {"radius": "inf"}, {"mpp": 0}, {"iou": 1}]
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            EvaluationOptions(**wrong)


@pytest.mark.parametrize("mpp", [0.00025, 250, 0, -1, float("nan"), float("inf")])
def test_a_pixel_size_that_no_scanner_has_is_refused(mpp: float) -> None:
    with pytest.raises(UsageError, match="is not a valid pixel size"):
        EvaluationOptions(mpp=mpp)


@pytest.mark.parametrize("radius", ["1e9um", "501um", "1e5px", "nanum", "-1px"])
def test_a_radius_that_no_cell_has_is_refused(radius: str) -> None:
    with pytest.raises(UsageError, match="radius"):
        EvaluationOptions(radius=radius)


def test_very_many_centres_at_one_place_are_refused() -> None:
    place = np.zeros((10_000, 2))
    with pytest.raises(UsageError, match="Too many centres"):
        match_centres(place, place, 1.0)
