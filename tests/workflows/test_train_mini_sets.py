"""Sets whose truth is points, boxes or regions: what they teach, what they never teach, and who learns from whom."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.shared import shared_data_root
from workflows.train_mini.average import average
from workflows.train_mini.average import main as average_main
from workflows.train_mini.crops import Crops, source_of
from workflows.train_mini.guesses import guessed
from workflows.train_mini.loop import train
from workflows.train_mini.losses import TensorBatch, losses
from workflows.train_mini.points import with_nuclei
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import SetSettings, TrainingSettings
from workflows.train_mini.splits import FOLDS, SPLITS, read_splits, uses
from workflows.train_mini.tiles import EITHER, INSTANCES, MASK, NOT_NEOPLASTIC, NOTHING, UNKNOWN, Tile
from wsi_parse.models.mini.facts import CLASSES, READ_MPP
from wsi_parse.models.mini.network import MiniNetwork, Outputs
from wsi_parse.models.mini.weights import load_network, save_network

OWN = SetSettings(reader="corrected", folder=".", mpp=0.5, share=1)
SETTINGS = TrainingSettings(sets={"own": OWN})
TRAINING = SPLITS.parent


def of_set(name: str) -> list[Tile]:
    return read_set(name, TrainingSettings.load(TRAINING / "points.yaml").sets[name], shared_data_root())


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(rows - y, columns - x) <= radius


class TestPoints:
    """A network sees three nuclei; two touch. Points mark both of these, and one nucleus that it does not see."""

    SHAPE = (100, 120)

    @pytest.fixture
    def derived(self) -> Tile:
        first, second, unlabelled = (disc(self.SHAPE, x, y, 8) for x, y in [(30, 30), (44, 30), (90, 30)])
        inside = first | second | unlabelled
        distance = np.zeros(self.SHAPE, np.uint8)
        for x, y in [(30, 30), (44, 30), (90, 30)]:
            rows, columns = np.mgrid[: self.SHAPE[0], : self.SHAPE[1]] + 0.5
            distance = np.maximum(distance, (255 * (1 - np.hypot(rows - y, columns - x) / 9)).clip(0).astype(np.uint8))
        channels = {"nucleus": (inside * 255).astype(np.uint8), "distance": distance}
        tile = Tile(
            "own",
            "a",
            "a",
            READ_MPP,
            np.full((*self.SHAPE, 3), 200, np.uint8),
            np.zeros(self.SHAPE, np.int32),
            None,
            centres=np.array([[30.5, 30.5], [44.5, 30.5], [40.5, 75.5]]),
            centre_classes=np.array([EITHER, 2, 3], np.uint8),
        )
        return with_nuclei(tile, lambda image: channels)

    def test_touching_nuclei_go_to_the_nearest_point_uphill(self, derived: Tile) -> None:
        assert derived.nuclei[30, 24] == 1
        assert derived.nuclei[30, 50] == 2
        assert derived.classes is not None
        assert derived.classes.tolist() == [UNKNOWN, EITHER, 2, 3]
        assert (derived.nuclei == 1).sum() == pytest.approx((derived.nuclei == 2).sum(), rel=0.1)

    def test_what_nobody_labelled_is_not_background(self, derived: Tile) -> None:
        known = derived.known_pixels()
        assert (known[disc(self.SHAPE, 90, 30, 7)] == NOTHING).all()
        assert known[5, 5] == INSTANCES

    def test_a_point_that_the_network_missed_is_a_small_nucleus_of_unknown_outline(self, derived: Tile) -> None:
        known = derived.known_pixels()
        assert derived.nuclei[75, 40] == 3
        assert known[75, 40] == MASK
        assert known[75, 40 + 7] == NOTHING

    def test_points_move_with_the_tile(self, derived: Tile) -> None:
        larger = derived.at(READ_MPP / 2)
        assert larger.centres is not None
        assert larger.centres.tolist() == [[61, 61], [89, 61], [81, 151]]
        assert larger.nuclei[61, 61] == 1
        assert larger.known_pixels().shape == larger.nuclei.shape == (200, 240)


class TestRealSets:
    def test_points_of_breast_lie_on_nuclei(self) -> None:
        """Nuclei absorb more red light than their surroundings do."""
        tiles = of_set("brca_m2c")
        assert len(tiles) == 90
        assert len({tile.group for tile in tiles}) == 83
        assert sum(len(tile.centres) for tile in tiles if tile.centres is not None) == 21780
        for tile in tiles[::10]:
            assert tile.centres is not None
            column, row = tile.centres.astype(int).T
            on, everywhere = tile.image[row, column, 0].mean(), tile.image[..., 0].mean()
            assert on < everywhere - 10, tile.name

    def test_organs_of_nuinsseg(self) -> None:
        tiles = of_set("nuinsseg")
        assert len({tile.group for tile in tiles}) == 30
        assert {"human kidney", "mouse kidney", "human stomach, cardia"} <= {tile.group for tile in tiles}
        assert not any(tile.organ == "melanoma" or 131 <= int(tile.name) <= 144 for tile in tiles)

    def test_boxes_teach_classes_alone(self) -> None:
        tiles = of_set("brecahad")
        for tile in tiles:
            assert not tile.known_pixels().any()
            assert tile.classes is not None
            assert set(tile.classes[1:].tolist()) <= {CLASSES.index("neoplastic"), NOT_NEOPLASTIC, UNKNOWN}

    def test_regions_of_tumour(self) -> None:
        for tile in of_set("bcss"):
            assert tile.tumour is not None
            assert tile.tumour.shape == tile.image.shape[:2]
            assert 0.1 < tile.tumour.mean() < 0.9

    def test_no_tile_of_a_normal_organ_teaches_neoplastic(self) -> None:
        settings = TrainingSettings.load(TRAINING / "points.yaml").sets["nuinsseg"]
        for tile in of_set("nuinsseg")[::60]:
            classes = guessed(tile, settings).classes
            assert classes is not None
            assert CLASSES.index("neoplastic") not in classes
            assert EITHER not in classes


class TestGuesses:
    def tile(self, organ: str) -> Tile:
        """A large round nucleus, a small one, a long one, and two that are merged."""
        shape = (80, 300)
        nuclei = np.zeros(shape, np.int32)
        nuclei[disc(shape, 40, 40, 13)] = 1
        nuclei[disc(shape, 100, 40, 8)] = 2
        nuclei[36:44, 130:180] = 3
        nuclei[disc(shape, 220, 40, 13) | disc(shape, 245, 40, 13)] = 4
        image = np.zeros((*shape, 3), np.uint8)
        return Tile("own", "a", "a", 0.25, image, nuclei, None, apart=False, organ=organ)

    @pytest.mark.parametrize(
        ("organ", "expected"),
        [
            ("kidney", ["epithelial", NOT_NEOPLASTIC, "connective", NOT_NEOPLASTIC]),
            ("spleen", ["inflammatory", "inflammatory", "connective", NOT_NEOPLASTIC]),
            ("muscle", [NOT_NEOPLASTIC, NOT_NEOPLASTIC, "connective", NOT_NEOPLASTIC]),
        ],
    )
    def test_normal_organs(self, organ: str, expected: list[str | int]) -> None:
        done = guessed(self.tile(organ), OWN.model_copy(update={"normal": True, "large_um2": 25.0}))
        assert done.classes is not None
        assert done.classes[1:].tolist() == [CLASSES.index(one) if isinstance(one, str) else one for one in expected]

    def test_only_single_nuclei_have_distances(self) -> None:
        done = guessed(self.tile("kidney"), OWN.model_copy(update={"normal": True}))
        known = done.known_pixels()
        assert [int(known[done.nuclei == number].min()) for number in range(5)] == [2, 2, 2, 2, MASK]

    def test_carcinoma(self) -> None:
        done = guessed(replace(self.tile("breast"), apart=True), OWN)
        assert done.classes is not None
        assert done.classes[1:].tolist() == [0, UNKNOWN, CLASSES.index("connective"), UNKNOWN]


class TestLosses:
    """The gradient of the class logits of one labelled pixel tells what a label teaches."""

    def gradient(self, label: int) -> np.ndarray:
        classes = torch.tensor([0.5, -0.2, 0.1, 0.3, -0.4])[None, :, None, None].repeat(1, 1, 2, 2).requires_grad_()
        outputs = Outputs(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), classes)
        zeros, truth = np.zeros((1, 4, 4), np.float32), np.full((1, 2, 2), UNKNOWN, np.int64)
        truth[0, 0, 0] = label
        batch = TensorBatch(
            (np.zeros((1, 3, 4, 4), np.float32), zeros, zeros, truth, zeros, zeros), torch.device("cpu")
        )
        losses(outputs, batch, torch.ones(len(CLASSES)), SETTINGS)["classes"].backward()
        assert classes.grad is not None
        assert not classes.grad[0, :, 0, 1].any()
        return -classes.grad[0, :, 0, 0].numpy()

    def test_either_raises_both_and_lowers_the_others(self) -> None:
        pull = self.gradient(EITHER)
        assert (pull[:2] > 0).all()
        assert (pull[2:] < 0).all()

    def test_not_neoplastic_lowers_this_alone(self) -> None:
        pull = self.gradient(NOT_NEOPLASTIC)
        assert pull[0] < 0
        assert (pull[1:] > 0).all()

    def test_a_class_raises_itself(self) -> None:
        pull = self.gradient(2)
        assert pull[2] > 0
        assert (np.delete(pull, 2) < 0).all()

    def test_nothing_is_learnt_where_nothing_is_known(self) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 255, (96, 96, 3)).astype(np.uint8)
        nuclei = (rng.random((96, 96)) < 0.5).astype(np.int32)
        tile = Tile("own", "a", "a", 0.25, image, nuclei, None, known=np.full((96, 96), NOTHING, np.uint8))
        settings = SETTINGS.model_copy(update={"crop_px": 32, "batch": 2})
        batch = TensorBatch(Crops([source_of(tile, 1.0, OWN)], settings).batch(0), torch.device("cpu"))
        torch.manual_seed(0)
        network = MiniNetwork((8, 8, 8, 8))
        parts = losses(network(batch.images), batch, torch.ones(len(CLASSES)), settings)
        sum(parts.values(), torch.zeros(())).backward()
        assert all(part.grad is None or not part.grad.any() for part in network.parameters())


class TestSplits:
    def test_every_real_group_has_one_role(self) -> None:
        roles = read_splits(SPLITS)
        settings = TrainingSettings.load(TRAINING / "points.yaml")
        for name in sorted({name for name, _ in roles}):
            tiles = read_set(name, settings.sets[name], shared_data_root())
            assert {tile.group for tile in tiles} == {group for of, group in roles if of == name}
        assert set(roles.values()) == {"train", "calibration", "report", *map(str, range(FOLDS))}

    def test_a_fold_is_held_out_alone_and_others_never_learnt(self) -> None:
        roles = {("own", group): role for group, role in zip("abcd", ["0", "1", "calibration", "report"], strict=True)}
        image, nuclei = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.int32)
        tiles = [Tile("own", group, group, 0.25, image, nuclei, None) for group in "abcd"]
        assert list(uses(tiles, OWN, roles, None).values()) == ["learnt", "learnt", "calibration", "held_out"]
        assert list(uses(tiles, OWN, roles, 1).values()) == ["learnt", "held_out", "calibration", "held_out"]
        with pytest.raises(SystemExit, match="do not name e"):
            uses([*tiles, replace(tiles[0], group="e")], OWN, roles, None)

    def test_folds_of_breast_are_of_equal_size(self) -> None:
        roles = [role for (name, _), role in read_splits(SPLITS).items() if name == "brca_m2c"]
        assert [roles.count(str(fold)) for fold in range(FOLDS)] == [15] * FOLDS
        assert roles.count("calibration") == 8


def test_weights_are_averaged_with_those_they_began_with(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_network(MiniNetwork((8, 8, 8, 8)), tmp_path / "start.safetensors")
    rng = np.random.default_rng(0)
    image, nuclei = rng.integers(0, 255, (96, 96, 3)).astype(np.uint8), np.zeros((96, 96), np.int32)
    nuclei[30:60, 30:60] = 1
    source = source_of(Tile("own", "a", "a", 0.25, image, nuclei, None), 1.0, OWN)
    few = SETTINGS.model_copy(update={"crop_px": 32, "batch": 2, "steps": 3, "warm_up": 1})
    start = tmp_path / "start.safetensors"
    for name in ("alone", "mixed"):
        (tmp_path / name).mkdir()
    alone = train([source], few, tmp_path / "alone", start)
    mixed = train([source], few.model_copy(update={"start_share": 0.75}), tmp_path / "mixed", start)
    assert alone is not None
    assert mixed is not None
    before, after, half_way = (one.state_dict()["shape.weight"] for one in (load_network(start), alone, mixed))
    assert not torch.equal(before, after)
    torch.testing.assert_close(half_way, 0.75 * before + 0.25 * after)


def test_sharpened_crops_have_more_fine_detail() -> None:
    rng = np.random.default_rng(0)
    tissue = ndimage.gaussian_filter(rng.normal(size=(256, 256, 3)), (3, 3, 0)) * 300 + 150
    source = source_of(
        Tile("own", "a", "a", 0.25, tissue.clip(0, 255).astype(np.uint8), np.ones((256, 256), np.int32), None), 1.0, OWN
    )
    detail = {}
    for share in (0.0, 1.0):
        augment = SETTINGS.augment.model_copy(update={"sharpen": share, "jpeg": 0.0, "blur_um": 0.0})
        few = SETTINGS.model_copy(update={"augment": augment, "crop_px": 64, "batch": 16})
        images = Crops([source], few).batch(0).images
        detail[share] = float((images - ndimage.gaussian_filter(images, (0, 0, 1.2, 1.2))).std())
    assert detail[1.0] > 1.2 * detail[0.0]


class TestAverage:
    def test_of_weights_is_their_mean(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        paths = []
        for seed in range(3):
            torch.manual_seed(seed)
            paths.append(tmp_path / f"{seed}.safetensors")
            save_network(MiniNetwork((8, 8, 8, 8)), paths[-1])
        out = tmp_path / "mean.safetensors"
        monkeypatch.setattr("sys.argv", ["average", *map(str, paths), "-o", str(out)])
        average_main()
        single = [load_network(path).state_dict()["shape.weight"] for path in paths]
        assert not torch.equal(single[0], single[1])
        # Weights are written in float16.
        torch.testing.assert_close(
            load_network(out).state_dict()["shape.weight"], torch.stack(single).mean(0), rtol=1e-3, atol=1e-4
        )

    def test_of_one_network_is_the_network(self) -> None:
        network = MiniNetwork((8, 8, 8, 8)).eval()
        images = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(average([network])(images).classes, network(images).classes)

    def test_of_other_widths_is_refused(self) -> None:
        with pytest.raises(ValueError, match="same widths"):
            average([MiniNetwork((8, 8, 8, 8)), MiniNetwork((8, 8, 8, 16))])
