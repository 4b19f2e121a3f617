"""Known changes are found as they were made: moved, deleted, added, reclassified, redrawn."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.made import annotations
from tests.shared import shared_data_root
from wsi_parse.evaluate import EvaluationOptions, evaluate
from wsi_parse.evaluate.review import same_outlines

MPP = 0.22
EXPORTS = ("metastatic_roi_001", "primary_roi_001", "primary_roi_004")
CLASSES = ("nuclei_tumor", "nuclei_stroma")


def name_of(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


def lattice(count: int, side: float = 40.0, pitch: float = 100.0) -> np.ndarray:
    left, top = np.arange(count) % 10 * pitch, np.arange(count) // 10 * pitch
    return shapely.box(left, top, left + side, top + side)


def test_a_lattice_moved_by_one_micron_with_tenths_changed() -> None:
    """Every figure follows from squares of 40 px, moved by 4 px (1 um)."""
    shapes, classes = lattice(100), [CLASSES[number % 2] for number in range(100)]
    ids = [name_of(number) for number in range(100)]
    moved = shapely.transform(shapes, lambda points: np.add(points, (4.0, 0.0)))
    far = shapely.transform(shapes[:10], lambda points: np.add(points, (0.0, 5000.0)))
    turned = {number: CLASSES[1 - number % 2] for number in range(10, 20)}
    kept = range(10, 100)
    pred = annotations(
        [*moved[10:], *far],
        [*(turned.get(number, classes[number]) for number in kept), *classes[:10]],
        [*ids[10:], *(name_of(1000 + number) for number in range(10))],
    )
    result = evaluate(annotations(shapes, classes, ids), pred, EvaluationOptions(mpp=0.25)).to_dict()
    iou = 36 / 44
    expected = {
        "truth": 100,
        "pred": 100,
        "matched": 90,
        "precision": 0.9,
        "recall": 0.9,
        "f1": 0.9,
        "sq": iou,
        "pq": 0.9 * iou,
        "aji": 90 * 36 / (90 * 44 + 10 * 40 + 10 * 40),
        "dice": 0.9 * 0.9,
        "iou": 90 * 36 / (90 * 44 + 20 * 40),
        "centre_matched": 90,
        "count_error": 0,
        "area_error": 0,
        "truth_area_um2": 100 * 100,
    }
    assert {key: result["all"][key] for key in expected} == pytest.approx(expected)
    for number, name in enumerate(CLASSES):
        other = CLASSES[1 - number]
        table = {(row["truth"], row["pred"]): row["count"] for row in result["confusion"]}
        assert (table[name, name], table[name, other], table[name, "(missed)"], table["(extra)", name]) == (40, 5, 5, 5)
        assert result["classes"][name]["matched"] == 40
        assert result["classes"][name]["f1"] == pytest.approx(40 / 50)
        assert result["classes"][name]["dice"] == pytest.approx(0.9 * 40 / 50)
    review = result["review"]
    # The truth is what the reviewer left: what only the prediction has, was deleted.
    assert review["deleted"] == [name_of(1000 + number) for number in range(10)]
    assert review["added"] == ids[:10]
    assert [item["id"] for item in review["reclassified"]] == ids[10:20]
    assert [item["id"] for item in review["reshaped"]] == ids[10:]
    assert all(item["iou"] == pytest.approx(iou) for item in review["reshaped"])
    assert review["counts"]["reshaped_and_reclassified"] == 10
    assert review["kept"] == []


def shifted(feature: dict[str, Any], x: float, y: float, **more: Any) -> dict[str, Any]:
    """Move a feature, rounded as QuPath does."""
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    there = shapely.transform(shape, lambda points: np.round(np.add(points, (x, y)), 2))
    return {**feature, "geometry": json.loads(shapely.to_geojson(there)), **more}


@pytest.mark.parametrize("name", EXPORTS)
class TestRealExports:
    @pytest.fixture
    def path(self, name: str) -> Path:
        return shared_data_root() / "annotations" / f"training_set_{name}_nuclei.geojson"

    @pytest.fixture
    def whole(self, path: Path) -> dict[str, Any]:
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def test_agree_with_themselves(self, path: Path, whole: dict[str, Any]) -> None:
        result = evaluate(path, path, EvaluationOptions(mpp=MPP)).to_dict()
        for figures in (result["all"], *result["classes"].values()):
            for key in ("dice", "iou", "precision", "recall", "f1", "sq", "pq", "aji", "centre_f1"):
                assert figures[key] == pytest.approx(1, abs=1e-12)
            assert figures["count_error"] == figures["area_error"] == 0
        assert result["review"]["kept"] == [feature["id"] for feature in whole["features"]]
        assert result["review"]["counts"] == {
            "kept": len(whole["features"]),
            **dict.fromkeys(("reshaped", "reclassified", "deleted", "added", "reshaped_and_reclassified"), 0),
        }

    @pytest.mark.parametrize("moved_um", [0.0, 1.0])
    def test_report_exactly_what_was_done_to_them(
        self, path: Path, whole: dict[str, Any], moved_um: float, tmp_path: Path
    ) -> None:
        features = whole["features"]
        order = np.random.default_rng(0).permutation(len(features)).tolist()
        tenth = len(features) // 10
        gone, turned, doubled = set(order[:tenth]), set(order[tenth : 2 * tenth]), order[2 * tenth : 3 * tenth]

        shift = moved_um / MPP / np.sqrt(2)
        pred, changes = [], {}
        for number, feature in enumerate(features):
            if number in gone:
                continue
            item = shifted(feature, shift, shift)
            if number in turned:
                before = feature["properties"]["classification"]
                after = {"name": "Other", "color": [255, 200, 0]}
                item["properties"] = {**feature["properties"], "classification": after}
                changes[feature["id"]] = {"id": feature["id"], "before": "Other", "after": before["name"]}
            pred.append(item)
        extra = [shifted(features[number], 5000, 5000, id=str(uuid.uuid4())) for number in doubled]
        (tmp_path / "pred.geojson").write_text(json.dumps([*pred, *extra]), encoding="utf-8")
        result = evaluate(path, tmp_path / "pred.geojson", EvaluationOptions(mpp=MPP)).to_dict()
        stayed = len(features) - tenth
        review = result["review"]
        assert review["counts"]["deleted"] == review["counts"]["added"] == review["counts"]["reclassified"] == tenth
        assert {item["id"]: item for item in review["reclassified"]} == changes
        assert set(review["deleted"]) == {feature["id"] for feature in extra}
        assert set(review["added"]) == {features[number]["id"] for number in gone}
        assert len(review["reshaped"]) == (stayed if moved_um else 0)
        assert result["all"]["centre_matched"] == stayed
        assert result["all"]["truth"] == result["all"]["pred"] == len(features)
        table = {(row["truth"], row["pred"]): row["count"] for row in result["confusion"]}
        if not moved_um:
            assert result["all"]["matched"] == stayed
            assert sum(count for (truth, pred), count in table.items() if pred == "(missed)") == tenth
            assert sum(count for (truth, pred), count in table.items() if truth == "(extra)") == tenth
            assert sum(count for (truth, pred), count in table.items() if pred == "Other") == tenth
            assert all(truth == pred or "(" in truth + pred or pred == "Other" for truth, pred in table)
            return
        # Moved, each nucleus still is its own only where it is thick enough: counted by GEOS, one by one.
        shapes = shapely.make_valid(
            shapely.from_geojson([json.dumps(features[number]["geometry"]) for number in order[tenth:]])
        )
        there = shapely.transform(shapes, lambda points: np.round(points + shift, 2))
        iou = shapely.area(shapely.intersection(shapes, there)) / shapely.area(shapely.union(shapes, there))
        assert result["all"]["matched"] == int((iou > 0.5).sum())
        assert result["all"]["pq"] == pytest.approx(iou[iou > 0.5].sum() / len(features), rel=1e-6)


class TestKeptOrReshaped:
    outline = st.lists(st.floats(4, 30), min_size=5, max_size=40)

    @staticmethod
    def around(radii: list[float], offset: float) -> Any:
        turn = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
        points = np.array(radii)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1) + offset
        return shapely.Polygon(points)

    @given(outline, st.sampled_from([0.0, 70_000.0, 199_000.0]), st.integers(0, 40), st.booleans())
    def test_rounding_turning_and_starting_elsewhere_keep(
        self, radii: list[float], offset: float, start: int, turned: bool
    ) -> None:
        """QuPath uses float32, writes two decimals, and does not keep start and direction of a ring."""
        shape = self.around(radii, offset)
        points = np.roll(shapely.get_coordinates(shape)[:-1], start, axis=0)
        points = np.round(points.astype(np.float32).astype(float), 2)
        back = shapely.Polygon(points[::-1] if turned else points)
        assert same_outlines(np.array([shape], object), np.array([back], object)).all()

    @given(outline, st.integers(0, 40), st.floats(0.5, 3))
    def test_one_corner_redrawn_is_another_outline(self, radii: list[float], corner: int, by: float) -> None:
        shape = self.around(radii, 100.0)
        radii = list(radii)
        radii[corner % len(radii)] += by
        assert not same_outlines(np.array([shape], object), np.array([self.around(radii, 100.0)], object)).any()


def test_an_object_may_be_reshaped_and_reclassified_and_the_rest_is_noted() -> None:
    shapes = lattice(5)
    ids = [name_of(number) for number in range(5)]
    pred = annotations(shapes[:4], ["Tumor"] * 4, ids[:4])
    redrawn = shapely.box(0, 0, 40, 30)
    truth = annotations([redrawn, *shapes[1:3], shapes[4]], ["Stroma", "Tumor", "", "Tumor"], [*ids[:3], None])
    evaluation = evaluate(truth, pred, EvaluationOptions(radius="5px"))
    review = evaluation.review
    assert review is not None
    assert review.kept == [ids[1]]
    assert [(item["id"], item["iou"], item["area_after_px2"]) for item in review.reshaped] == [(ids[0], 0.75, 1200.0)]
    assert [(item["before"], item["after"]) for item in review.reclassified] == [
        ("Tumor", "Stroma"),
        ("Tumor", "Unclassified"),
    ]
    assert review.deleted == [ids[3]]
    assert review.added == [None]
    assert any("without an id" in note for note in evaluation.notes)


def test_lost_ids_are_counted_beside_what_was_deleted_and_added() -> None:
    shapes = lattice(7)
    ids = [name_of(number) for number in range(7)]
    redrawn = shapely.box(400, 0, 440, 38)
    # Two came back under another id or none, one twice; one is redrawn too, one gone.
    truth = annotations([*shapes[:4], shapes[3], redrawn], ids=[*ids[:2], None, "new", "twin", "other"])
    evaluation = evaluate(truth, annotations(shapes[:6], ids=ids[:6]))
    assert evaluation.review is not None
    assert evaluation.review.deleted == ids[2:6]
    assert evaluation.review.added == [None, "new", "twin", "other"]
    assert [note for note in evaluation.notes if "lost" in note] == [
        "2 of the added objects have the outline of a deleted one (IoU above 0.99). Check whether their ids were lost."
    ]
    whole = annotations(shapes, ids=ids)
    assert not any("lost" in note for note in evaluate(whole, annotations(shapes[:6], ids=ids[:6])).notes)


def test_no_common_id_and_repeated_ids_are_noted() -> None:
    shapes = lattice(2)
    strangers = evaluate(annotations(shapes, ids=["a", "b"]), annotations(shapes, ids=["c", "d"]))
    assert strangers.review is None
    assert any("same id" in note for note in strangers.notes)
    twins = evaluate(annotations(shapes, ids=["a", "a"]), annotations(shapes, ids=["a", "b"]))
    (note,) = (note for note in twins.notes if "an earlier id" in note)
    assert note.startswith("Truth: 1 object repeats an earlier id. The scores count every object;")
    assert (twins.everything.truth, twins.everything.matched) == (2, 2)
