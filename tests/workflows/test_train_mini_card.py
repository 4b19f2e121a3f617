"""The card of the embedded model: what counts as right, the lines of sure classes, looks, and the tables."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from numpy.typing import NDArray

from workflows.train_mini.as_slides import found_in
from workflows.train_mini.calibrate import LINES, Chosen, choose_lines, choose_organ_lines, confidence_of, reached
from workflows.train_mini.card import calibration_of, folds_of, lines_of, scores_of
from workflows.train_mini.class_curves import draw_precision_recall, draw_reliability, precision_recall, reliability
from workflows.train_mini.failures import draw_failures
from workflows.train_mini.figures import density_ratio, figures
from workflows.train_mini.intervals import intervals_of
from workflows.train_mini.looked import log_look, looks
from workflows.train_mini.looks import Look, sharpness, with_look
from workflows.train_mini.measure import Found, Scores, compared, with_lines
from workflows.train_mini.selection import not_neoplastic
from workflows.train_mini.tables import class_table, write_card
from workflows.train_mini.tiles import EITHER, NOT_NEOPLASTIC, NOTHING, TILE_MPP, UNKNOWN, Tile
from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.files import file_sha256
from wsi_parse.models.mini.facts import CLASSES, EMBEDDED, READ_MPP

NEOPLASTIC, EPITHELIAL, INFLAMMATORY, CONNECTIVE, OTHER = range(len(CLASSES))
_SIDE, _STEP = 10, 20
_REGIONS = ("neoplastic_per_mm2_inside", "neoplastic_per_mm2_outside")


def tile_with(classes: list[int], group: str = "a", set_name: str = "own", **more: Any) -> Tile:
    """A tile with a row of square nuclei of 5 µm, one of each class that is given."""
    nuclei = np.zeros((2 * _STEP, 2 * _STEP * len(classes)), np.int32)
    for number in range(len(classes)):
        nuclei[_SIDE : _SIDE + 2 * _SIDE, 2 * _STEP * number + _SIDE : 2 * _STEP * number + 3 * _SIDE] = number + 1
    image = np.full((*nuclei.shape, 3), 230, np.uint8)
    image[nuclei > 0] = (110, 70, 150)
    known = np.array([UNKNOWN, *classes], np.uint8)
    return replace(Tile(set_name, group, group, TILE_MPP, image, nuclei, known), **more)


def as_points(tile: Tile) -> Tile:
    """The same nuclei as points."""
    assert tile.classes is not None
    count = len(tile.classes) - 1
    centres = np.column_stack([2 * _STEP * (np.arange(count) + 0.5), np.full(count, _STEP)]).astype(float)
    none = np.zeros_like(tile.nuclei)
    return replace(tile, nuclei=none, classes=None, centres=centres, centre_classes=tile.classes[1:])


def found_at(tile: Tile, classes: list[int], confidence: list[float] | None = None) -> Found:
    """What is found where `tile_with` puts its nuclei; -1: nothing is found there."""
    whole = tile_with([0] * len(classes)).at(READ_MPP).nuclei
    here = np.array(classes) >= 0
    sure = np.array(confidence or [1.0] * len(classes))
    centres = np.column_stack([2 * _STEP * (np.arange(len(classes)) + 0.5), np.full(len(classes), _STEP)]) * TILE_MPP
    everything = Found(whole, whole > 0, centres, np.array(classes, np.int64), sure, sure >= 0.7)
    assert whole.shape == tile.at(READ_MPP).nuclei.shape
    return everything.where(here)


def scored(known: list[int], found: list[int], confidence: list[float] | None = None, **more: Any) -> Scores:
    tile = tile_with(known, **more)
    return compared(tile, found_at(tile, found, confidence))


class TestRight:
    def test_points_are_the_truth_where_they_are_given(self) -> None:
        tile = as_points(tile_with([EITHER, EITHER, INFLAMMATORY, CONNECTIVE]))
        one = compared(tile, found_at(tile, [NEOPLASTIC, EPITHELIAL, -1, CONNECTIVE]))
        seen = figures([one])
        assert seen["recall"] == pytest.approx(3 / 4)
        assert seen["precision"] == 1
        assert "dice" not in seen
        assert "pq" not in seen

    def test_either_is_right_for_both_of_its_classes(self) -> None:
        one = scored([EITHER, EITHER, EITHER, INFLAMMATORY], [NEOPLASTIC, EPITHELIAL, INFLAMMATORY, NEOPLASTIC])
        seen = figures([one])
        assert seen["f1_neoplastic_or_epithelial"] == pytest.approx(2 * 2 / (3 + 3))
        assert seen["f1_inflammatory"] == 0
        assert seen["tumour_called_inflammatory"] == pytest.approx(1 / 3)
        assert seen["accuracy"] == pytest.approx(2 / 4)
        assert "f1_neoplastic" not in seen

    def test_healthy_epithelium_called_neoplastic_is_told_on_its_own(self) -> None:
        seen = figures([scored([EPITHELIAL, EPITHELIAL, NEOPLASTIC], [NEOPLASTIC, EPITHELIAL, NEOPLASTIC])])
        assert seen["epithelial_called_neoplastic"] == pytest.approx(1 / 2)
        assert seen["epithelial_called_neoplastic_surely"] == pytest.approx(1 / 2)

    def test_what_is_not_neoplastic_is_wrong_for_neoplastic_only(self) -> None:
        one = scored([NOT_NEOPLASTIC] * 3 + [NEOPLASTIC], [NEOPLASTIC, EPITHELIAL, CONNECTIVE, NEOPLASTIC])
        seen = figures([one])
        assert seen["f1_neoplastic"] == pytest.approx(2 * 1 / (2 + 1))
        assert seen["not_tumour_called_neoplastic"] == pytest.approx(1 / 3)
        assert "accuracy" not in seen

    def test_nothing_counts_where_nothing_is_known_except_what_is_labelled(self) -> None:
        tile = tile_with([NEOPLASTIC, NEOPLASTIC, CONNECTIVE])
        partly = np.where(tile.nuclei == 1, tile.nuclei, 0).astype(np.int32)
        assert tile.classes is not None
        tile = replace(tile, nuclei=partly, classes=tile.classes[:2], known=np.full(partly.shape, NOTHING, np.uint8))
        one = compared(tile, found_at(tile, [NEOPLASTIC, NEOPLASTIC, NEOPLASTIC]))
        assert one.found_class.tolist() == [NEOPLASTIC]
        assert len(one.found.classes) == 3
        assert figures([one])["recall_neoplastic"] == 1
        assert "f1" not in figures([one])

    def test_neoplastic_nuclei_are_counted_inside_and_outside_of_the_tumour(self) -> None:
        tile = tile_with([0] * 4)
        tumour = np.zeros(tile.nuclei.shape, bool)
        tumour[:, : tumour.shape[1] // 4] = True
        tile = replace(tile, tumour=tumour, known=np.full(tumour.shape, NOTHING, np.uint8))
        one = compared(tile, found_at(tile, [NEOPLASTIC, NEOPLASTIC, CONNECTIVE, -1]))
        seen = density_ratio([one])
        assert seen["inside_to_outside"] == pytest.approx(3)
        mm2 = tile.nuclei.size / 4 * TILE_MPP**2 / 1e6
        assert seen["neoplastic_per_mm2_inside"] == pytest.approx(1 / mm2)


class TestObjectsOfARun:
    def table(self, shapes: list[shapely.Geometry], prompts: list[str]) -> pa.Table:
        centres = shapely.get_coordinates(shapely.centroid(shapes))
        return pa.table(
            {
                "prompt": prompts,
                "unsure": [False, True, False][: len(shapes)],
                "class_probability": [0.9, 0.6, 0.8][: len(shapes)],
                "area_um2": shapely.area(shapes) * TILE_MPP**2,
                "centroid_x_level0": centres[:, 0],
                "centroid_y_level0": centres[:, 1],
                "geometry": shapely.to_wkb(shapes),
            }
        )

    def test_nuclei_lie_where_the_run_outlined_them(self) -> None:
        shapes = [shapely.box(10, 10, 30, 30), shapely.box(50, 10, 70, 30), shapely.box(80, 0, 84, 4)]
        table = self.table(shapes, ["neoplastic cells", "nuclei", "epithelial cells"])
        found = found_in(table, TILE_MPP, (20, 50))
        # The third is a fragment of 1 µm².
        assert found.classes.tolist() == [NEOPLASTIC, OTHER]
        assert found.sure.tolist() == [True, False]
        assert found.centres_um.tolist() == [[5, 5], [15, 5]]
        assert np.bincount(found.labels.ravel())[1:].tolist() == [100, 100]
        assert found.labels[5, 5] == 1
        assert found.mask[1, 41]

    def test_lines_replace_what_the_run_was_sure_of(self) -> None:
        table = self.table([shapely.box(10, 10, 30, 30), shapely.box(50, 10, 70, 30)], ["neoplastic cells", "nuclei"])
        found = found_in(table, TILE_MPP, (20, 50))
        assert found.sure.tolist() == [True, False]
        assert with_lines(found, {"neoplastic": 0.95, "other": 0.5}).sure.tolist() == [False, True]
        assert with_lines(found, {"neoplastic": 0.5, "other": None}).sure.tolist() == [True, False]

    def test_a_tile_that_a_run_refuses_is_named(self) -> None:
        def refuse(tile: Tile) -> Found:
            raise UnsupportedSlideError(f"{tile.name} has a dark background.", "Use another.")

        scores, refused = scores_of(refuse, [tile_with([NEOPLASTIC], group="dark")])
        assert scores == []
        assert "own dark" in refused[0]


def many(set_name: str, right_from: float, groups: int = 8, wrong_class: int = EPITHELIAL) -> list[Scores]:
    """Nuclei called neoplastic, of any probability from a half on: below a line half of them are wrong, above none."""
    confidence = np.tile(np.linspace(0.505, 0.995, 50), 2).tolist()
    wrong = [one < right_from and number < 50 for number, one in enumerate(confidence)]
    known = [wrong_class if bad else NEOPLASTIC for bad in wrong]
    return [
        scored(known, [NEOPLASTIC] * 100, confidence, group=f"{set_name}{number}", set_name=set_name)
        for number in range(groups)
    ]


def lines_in(chosen: dict[str, Chosen]) -> dict[str, float | None]:
    return {name: one.line for name, one in chosen.items()}


class TestCalibration:
    def test_the_lowest_line_that_is_right_often_enough_is_chosen(self) -> None:
        chosen = choose_lines(many("own", 0.8))["neoplastic"]
        confidence = np.linspace(0.505, 0.995, 50)
        right = [1 - 0.5 * np.mean(confidence[confidence >= line] < 0.8) for line in LINES]
        assert chosen.line == LINES[np.flatnonzero(np.array(right) >= 0.9)[0]]
        assert chosen.judged_by == "lower end of the interval"

    def test_a_class_that_is_never_right_often_enough_has_no_line(self) -> None:
        chosen = choose_lines(many("own", 2.0))
        assert chosen["neoplastic"].line is None
        assert chosen["neoplastic"].accuracy[0] == pytest.approx(0.5)
        # No nucleus is called connective.
        assert chosen["connective"].line is None
        assert chosen["connective"].accuracy == []
        assert confidence_of(lines_in(chosen), {}, [], EMBEDDED)["lines"]["neoplastic"] is None

    def test_few_groups_are_judged_by_the_share_and_this_is_told(self) -> None:
        assert choose_lines(many("own", 0.8, groups=3))["neoplastic"].judged_by == "share"

    def test_sets_count_alike_however_many_tiles_they_have(self) -> None:
        small, large = many("small", 2.0, groups=4), many("large", 0.0, groups=16)
        assert reached(small + large, {"neoplastic": 0.5})["neoplastic"][0] == pytest.approx(0.75)

    def test_normal_organs_count_against_neoplastic(self) -> None:
        normal = compared(not_neoplastic(tile_with([0] * 4)), found_at(tile_with([0] * 4), [0, 1, 2, 3]))
        tumour = scored([NEOPLASTIC] * 4, [NEOPLASTIC, -1, -1, -1], set_name="tumour")
        # Of four known nuclei in the normal set and one in the other.
        assert reached([normal, tumour], {"neoplastic": 0.5})["neoplastic"][0] == pytest.approx(
            1 / (1 + 1 / 4), abs=1e-3
        )
        assert reached([normal, tumour], {"epithelial": 0.5}) == {}

    def test_lines_of_other_weights_are_refused(self, tmp_path: Path) -> None:
        path, other = tmp_path / "confidence.json", tmp_path / "other"
        path.write_text(json.dumps(confidence_of(lines_in(choose_lines(many("own", 0.8))), {}, [], EMBEDDED)))
        other.write_bytes(b"1")
        assert lines_of(path, EMBEDDED)["connective"] is None
        with pytest.raises(SystemExit, match="other weights"):
            lines_of(path, other)

    def test_a_line_that_a_check_refutes_is_taken_away(self) -> None:
        right, wrong = many("own", 0.0), many("other", 2.0)
        kept, refuted = (confidence_of({"neoplastic": 0.5}, {}, check, EMBEDDED) for check in (right, wrong))
        assert (kept["lines"], kept["reached"]["neoplastic"][0]) == ({"neoplastic": 0.5}, pytest.approx(1))
        assert (refuted["lines"], refuted["reached"]) == ({"neoplastic": None}, {})

    def test_an_organ_has_lines_of_its_own_sets_and_is_checked_on_them(self) -> None:
        breast = [
            scored([INFLAMMATORY] * 40, [INFLAMMATORY] * 40, set_name="brca_m2c", group=str(number))
            for number in range(8)
        ]
        colon = [
            scored([INFLAMMATORY] * 40, [NEOPLASTIC] * 40, set_name="consep", group=str(number)) for number in range(8)
        ]
        organs = choose_organ_lines([*breast, *colon])
        assert set(organs) == {"breast", "colon"}
        assert set(organs["breast"]) == {"inflammatory", "connective"}
        assert organs["breast"]["inflammatory"] == LINES[0]
        assert organs["colon"]["inflammatory"] is None
        content = confidence_of({"inflammatory": None}, organs, colon, EMBEDDED)
        assert content["organs"]["breast"]["inflammatory"] == LINES[0]
        assert content["reached_in_organs"] == {"breast": {}, "colon": {}}

    def test_lines_that_are_given_are_kept_and_judged(self) -> None:
        scores = many("own", 0.8)
        seen = calibration_of(scores, scores, {"neoplastic": 0.5})
        assert seen["chosen"]["neoplastic"]["line"] == 0.5
        assert seen["chosen"]["neoplastic"]["accuracy"][0] == seen["reached"]["neoplastic"][0] < 0.9
        assert calibration_of(scores, scores, None)["reached"]["neoplastic"][0] >= 0.9


class TestCurves:
    def test_the_last_point_is_what_all_nuclei_reach(self) -> None:
        scores = many("own", 0.8, groups=2)
        recall, precision = precision_recall(scores, (NEOPLASTIC,))
        right = np.mean([s.known_class == NEOPLASTIC for s in scores])
        assert precision[-1] == pytest.approx(right)
        assert recall[-1] == 1
        assert precision[0] == 1

    def test_reliability_is_the_share_that_is_right_at_a_probability(self) -> None:
        probability, right = reliability(many("own", 0.8), NEOPLASTIC)
        assert right[probability < 0.8] == pytest.approx(0.5)
        assert right[probability > 0.8] == pytest.approx(1)

    def test_they_are_drawn(self, tmp_path: Path) -> None:
        of_sets = {"own": many("own", 0.8, groups=1), "points": [scored([EITHER] * 40, [NEOPLASTIC] * 40)]}
        for draw in (draw_reliability, draw_precision_recall):
            draw(of_sets, tmp_path / "curves.svg")
            first = (tmp_path / "curves.svg").read_text()
            assert "own" in first
            assert "points" in first

    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_few_tiles_of_normal_tissue_are_drawn_as_many(self, count: int, tmp_path: Path) -> None:
        draw_failures([scored([0] * 16, [NEOPLASTIC] * 16) for _ in range(count)], tmp_path / "f.jpg")
        assert (tmp_path / "f.jpg").exists() == (count > 0)


class TestLooks:
    def textured(self, seed: int, colour: NDArray[np.float64], fine: float) -> Tile:
        rng = np.random.default_rng(seed)
        stain = np.kron(rng.random((16, 16)) > 0.5, np.ones((16, 16))) + fine * rng.standard_normal((256, 256))
        density = np.clip(stain, 0, None)[..., None] * colour + 0.04 * rng.standard_normal((256, 256, 3))
        image = (245 * np.exp(-np.maximum(density, 0))).astype(np.uint8)
        return Tile("own", "a", "a", TILE_MPP, image, np.zeros((256, 256), np.int32), None)

    def test_a_tile_takes_the_look_of_another(self) -> None:
        own, other = (
            self.textured(seed, np.array(colour), fine)
            for seed, colour, fine in ((0, (0.6, 0.9, 0.4), 0.25), (1, (0.8, 0.5, 0.7), 0.05))
        )
        look = Look.of([other], 0.2, 90)
        changed = with_look(own, look)
        assert changed.mpp == 0.2
        assert changed.image.shape[:2] == (320, 320)
        seen = Look.of([changed], 0.2, 90)
        assert seen.sharpness == pytest.approx(look.sharpness, rel=0.15)
        assert seen.sharpness < sharpness(own)
        # The colours are those of the other tile, not those of its own.
        before = Look.of([own], 0.2, 90)
        assert np.abs(seen.mean - look.mean).max() < 0.25 * np.abs(before.mean - look.mean).max()
        assert np.abs(seen.white - look.white).max() < 0.05


class TestTables:
    def test_folds_are_told_by_mean_and_range(self) -> None:
        of_folds = [[scored([NEOPLASTIC] * 4, [NEOPLASTIC] * found + [-1] * (4 - found))] for found in (2, 3, 4)]
        assert folds_of(of_folds)["own"]["recall"] == [0.75, 0.5, 1.0]

    def test_an_interval_is_over_groups(self) -> None:
        items = [("a", 1.0)] * 50 + [("b", 0.0)] * 50
        seen = intervals_of(items, lambda some: {"mean": float(np.mean([one[1] for one in some]))}, lambda one: one[0])
        assert seen["mean"] == [0.5, 0.0, 1.0]

    def figures_of(self, **more: Any) -> dict[str, Any]:
        own = {"tiles": 2, "nuclei": 20, "f1": [0.8, 0.7, 0.9], "recall_neoplastic": [0.5], **more}
        return {"weights_sha256": "0" * 64, "sets": {"own": own}}

    def test_only_what_was_measured_is_written(self, tmp_path: Path) -> None:
        card = tmp_path / "CARD.md"
        names = ("nuclei", "classes", "danger", "organs", "looked")
        card.write_text("".join(f"<!-- {name} -->\nbefore\n<!-- end -->\n" for name in names) + "after\n")
        write_card(self.figures_of(), card)
        text = card.read_text()
        assert "| own | 2 | 20 |  | 0.80 (0.70-0.90) |" in text
        assert text.count("before") == 1
        assert text.endswith("after\n")
        write_card(self.figures_of(organs={"liver": {"tiles": 3, "nuclei": 90, "called": 0.02, "surely": 0.0}}), card)
        assert "| liver | 3 | 90 | 2.0 % | 0.0 % |" in card.read_text()

    def test_a_card_without_a_place_for_a_table_is_refused(self, tmp_path: Path) -> None:
        card = tmp_path / "CARD.md"
        card.write_text("<!-- nuclei -->\n<!-- end -->\n")
        with pytest.raises(SystemExit, match="classes"):
            write_card(self.figures_of(), card)

    def test_the_card_has_a_place_for_every_table(self, tmp_path: Path) -> None:
        card = tmp_path / "CARD.md"
        card.write_text(EMBEDDED.with_name("CARD.md").read_text(encoding="utf-8"), encoding="utf-8")
        three = [0.5, 0.4, 0.6]
        regions = {"inside_to_outside_of_each": [3.0], **dict.fromkeys(_REGIONS, three)}
        organs = {"liver": {"tiles": 3, "nuclei": 90, "called": 0.02, "surely": 0.0}}
        everything = self.figures_of(organs=organs, inside_to_outside=three, **regions)
        look = {"set": "own", "look": "other", "figure": "a", "own": three, "changed": three, "difference": three}
        everything |= {"folds": {"own": {"f1": three}}, "looks": [look], "skin": organs["liver"]}
        line = {"line": 0.8, "accuracy": three, "groups": 8, "nuclei": 90, "judged_by": "share"}
        everything |= {"calibration": {"chosen": {"neoplastic": line}, "reached": {}}}
        write_card(everything, card)
        for words in ("liver", "0.400-0.600", "+50.0", "CMU-1-Small-Region | 90", "| neoplastic | 0.80 |"):
            assert words in card.read_text(encoding="utf-8")

    def test_classes_that_no_set_tells_are_left_out(self) -> None:
        assert "healthy epithelium" not in class_table(self.figures_of())
        assert "healthy epithelium" in class_table(self.figures_of(epithelial_called_neoplastic=[0.1]))


def test_each_look_at_held_out_tiles_is_logged_once_a_day(tmp_path: Path) -> None:
    log, weights = tmp_path / "looked.csv", tmp_path / "w"
    weights.write_bytes(b"1")
    tiles = [tile_with([0], set_name="tnbc"), tile_with([0], set_name="consep")]
    log_look("card", weights, tiles, log)
    log_look("card", weights, tiles, log)
    log_look("looks", weights, tiles[:1], log)
    assert [row[1:] for row in looks(log)] == [
        (file_sha256(weights)[:12], "card", "consep tnbc"),
        (file_sha256(weights)[:12], "looks", "tnbc"),
    ]
