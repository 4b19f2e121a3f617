"""Training of the embedded model: what it reads, what it refuses, what it may learn from, and that it resumes."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from tests.shared import shared_data_root
from workflows.train_mini.checks import check
from workflows.train_mini.corrected import class_of, read_corrected
from workflows.train_mini.crops import Crops, relative_distance, source_of
from workflows.train_mini.figures import class_figures, figures
from workflows.train_mini.intervals import with_intervals
from workflows.train_mini.loop import schedule
from workflows.train_mini.losses import TensorBatch, losses
from workflows.train_mini.measure import Scores, predict, score
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import SetSettings, TrainingSettings
from workflows.train_mini.splits import Use, uses
from workflows.train_mini.tiles import TILE_MPP, UNKNOWN, Tile
from wsi_parse.geometry import Box
from wsi_parse.models.mini.facts import CLASSES, EMBEDDED, READ_MPP
from wsi_parse.models.mini.network import MiniNetwork, fuse
from wsi_parse.models.mini.stain_normalization import density_of
from wsi_parse.models.mini.weights import load_network
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.synthetic.truth import truth_features

pytestmark = pytest.mark.whole

TRAINING = Path(__file__).resolve().parents[2] / "workflows" / "train_mini"
QUPATH = {"neoplastic": "Tumor", "epithelial": "Epithelial", "inflammatory": "Immune cells", "connective": "Stroma"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four painted tiles of two patients, with their nuclei as QuPath writes them."""
    folder = tmp_path_factory.mktemp("corrected")
    slide = SyntheticSlide(1600, 1600, mpp=0.25, seed=5, tissue=1.0)
    features = list(truth_features(slide))
    for number, (x, y) in enumerate([(500, 500), (820, 500), (500, 820), (820, 820)]):
        box = Box(x, y, 300, 300)
        place = folder / f"patient_{number % 2}"
        place.mkdir(exist_ok=True)
        Image.fromarray(slide.pixels(box)).save(place / f"tile_{number}.png")
        inside = []
        for feature in features:
            ring = np.array(feature["geometry"]["coordinates"][0]) - (x, y)
            if (ring.max(axis=0) < 0).any() or (ring.min(axis=0) > 300).any():
                continue
            name = QUPATH[feature["properties"]["classification"]["name"]]
            moved = {"type": "Polygon", "coordinates": [ring.tolist()]}
            inside.append({**feature, "geometry": moved, "properties": {"classification": {"name": name}}})
        (place / f"tile_{number}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": inside}))
    return folder


@pytest.fixture
def tiles(folder: Path) -> list[Tile]:
    return read_set("own", OWN, folder)


OWN = SetSettings(reader="corrected", folder=".", mpp=0.25, share=1)


def settings_of(**more: object) -> TrainingSettings:
    own = {"own": {"reader": "corrected", "folder": ".", "mpp": 0.25, "share": 1.0, "held_out": ["patient_1"]}}
    small = {"widths": (8, 8, 8, 8), "steps": 4, "batch": 2, "crop_px": 64, "warm_up": 1, "sets": own}
    return TrainingSettings.model_validate({**small, **more})


class TestTiles:
    def test_corrected_nuclei_lie_where_they_were_drawn(self, tiles: list[Tile], folder: Path) -> None:
        assert [tile.group for tile in tiles] == ["patient_0", "patient_0", "patient_1", "patient_1"]
        tile = tiles[0]
        assert tile.mpp == TILE_MPP
        density = density_of(tile.image)[..., 0]
        assert density[tile.nuclei > 0].mean() > density[tile.nuclei == 0].mean() + 0.3
        truth = json.loads((folder / "patient_0" / "tile_0.geojson").read_text())["features"]
        assert tile.classes is not None
        assert len(tile.classes) == len(truth) + 1
        outlines = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in truth])
        whole = shapely.within(outlines, shapely.box(0, 0, 300, 300))
        drawn = np.isin(tile.nuclei, np.flatnonzero(whole) + 1).sum()
        assert drawn == pytest.approx(shapely.area(outlines[whole]).sum(), rel=0.05)

    def test_classes_of_qupath(self) -> None:
        assert class_of("Stroma") == CLASSES.index("connective")
        assert class_of("Necrosis") == CLASSES.index("other")
        assert class_of("Tumor: Unsure") == UNKNOWN

    def test_an_image_without_annotations_is_named(self, tmp_path: Path) -> None:
        Image.new("RGB", (32, 32)).save(tmp_path / "lonely.png")
        with pytest.raises(SystemExit, match=r"lonely\.geojson"):
            list(read_corrected("own", tmp_path))

    def one(self, folder: Path, *shapes: tuple[str, shapely.Geometry | None], mode: str = "RGB") -> list[Tile]:
        """Read a picture of 100 x 100 pixels with these annotations."""
        place = folder / "patient" / "slide_a"
        place.mkdir(parents=True)
        Image.new(mode, (100, 100)).save(place / "a.png")
        features = [
            {
                "type": "Feature",
                "geometry": shape and shapely.geometry.mapping(shape),
                "properties": {"objectType": "annotation", "classification": {"name": name}},
            }
            for name, shape in shapes
        ]
        (place / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return list(read_corrected("own", folder))

    def test_areas_are_no_nuclei_and_what_is_no_area_is_left_out(self, tmp_path: Path) -> None:
        everywhere = shapely.box(0, 0, 100, 100)
        (tile,) = self.one(
            tmp_path,
            ("Tumor", shapely.box(10, 10, 30, 30)),
            *((name, everywhere) for name in ("Tissue", "Region*", "Ignore*")),
            ("Stroma", None),
            ("Stroma", shapely.Point(50, 50)),
        )
        assert (tile.nuclei > 0).sum() == 400
        assert tile.classes is not None
        assert tile.classes[1:].tolist() == [CLASSES.index("neoplastic")]

    def test_a_class_is_left_out_by_its_whole_name_alone(self, tmp_path: Path) -> None:
        names = ("Tissue macrophages", "Region of interest", "Ignored")
        (tile,) = self.one(
            tmp_path, *((name, shapely.box(30 * number, 0, 30 * number + 20, 20)) for number, name in enumerate(names))
        )
        assert tile.classes is not None
        assert tile.classes[1:].tolist() == [CLASSES.index("other")] * 3

    def test_folders_below_one_are_one_patient(self, tmp_path: Path) -> None:
        assert self.one(tmp_path, ("Tumor", shapely.box(10, 10, 30, 30)))[0].group == "patient"

    def test_a_slides_pixels_are_not_the_pictures(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="no outline lies in its picture"):
            self.one(tmp_path, ("Tumor", shapely.box(5010, 10, 5030, 30)))

    def test_pictures_of_16_bit_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="8-bit"):
            self.one(tmp_path, ("Tumor", shapely.box(10, 10, 30, 30)), mode="I;16")

    def test_a_group_is_held_out_whole(self, tiles: list[Tile]) -> None:
        settings = settings_of().sets["own"]
        assert uses(tiles, settings, {}, None) == {"patient_0": Use.LEARNT, "patient_1": Use.HELD_OUT}
        with pytest.raises(SystemExit, match="patient_7"):
            uses(tiles, settings.model_copy(update={"held_out": ("patient_7",)}), {}, None)

    def test_a_set_without_share_is_held_out_altogether(self, tiles: list[Tile]) -> None:
        without = SetSettings(reader="corrected", folder=".", mpp=0.25)
        assert set(uses(tiles, without, {}, None).values()) == {Use.HELD_OUT}


class TestChecks:
    def test_good_tiles_pass(self, tiles: list[Tile]) -> None:
        check(tiles)

    def test_swapped_colours_are_refused(self, tiles: list[Tile]) -> None:
        with pytest.raises(SystemExit, match="swapped"):
            check([replace(tile, image=tile.image[..., ::-1]) for tile in tiles])

    @pytest.mark.parametrize("factor", [0.3, 1.5])
    def test_odd_scales_are_refused(self, folder: Path, factor: float) -> None:
        settings = SetSettings(reader="corrected", folder=".", mpp=0.25 * factor, share=1)
        with pytest.raises(SystemExit, match="pixel size"):
            check(read_set("own", settings, folder))

    def test_what_is_too_large_for_a_nucleus_is_refused(self, tiles: list[Tile]) -> None:
        drawn = tiles[0].nuclei.copy()
        drawn[:200, :200] = 1
        with pytest.raises(SystemExit, match="which is not a nucleus"):
            check([replace(tiles[0], nuclei=drawn), *tiles[1:]])

    @pytest.mark.parametrize("swap", [False, True])
    def test_real_sets(self, swap: bool) -> None:
        for name, settings in TrainingSettings.load(TRAINING / "points.yaml").sets.items():
            tiles = read_set(name, settings, shared_data_root())[:30]
            if swap and any(tile.nuclei.any() for tile in tiles):
                with pytest.raises(SystemExit, match="swapped"):
                    check([replace(tile, image=tile.image[..., ::-1]) for tile in tiles])
            else:
                check(tiles)


class TestCrops:
    def test_a_batch_depends_on_seed_and_number_only(self, tiles: list[Tile]) -> None:
        sources = [source_of(tile, 1.0, OWN) for tile in tiles]
        one, other = Crops(sources, settings_of()), Crops(sources, settings_of())
        later = list(one.batches(0, 3))[2]
        for first, second in zip(later, other.batch(2), strict=True):
            assert np.array_equal(first, second)
        assert not np.array_equal(one.batch(1).images, later.images)

    def test_truth_moves_with_the_image(self, tiles: list[Tile]) -> None:
        settings = settings_of(
            batch=8, augment={"swap_style": 0, "density": 0, "blur_um": 0, "noise": 0, "jpeg": 0, "estimate": 0}
        )
        batch = Crops([source_of(tile, 1.0, OWN) for tile in tiles], settings).batch(0)
        red = batch.images[:, 0]
        inside, outside = batch.nucleus > 0.9, batch.nucleus < 0.1
        assert red[inside].mean() > red[outside].mean() + 0.3
        assert batch.distance[outside].max() < 0.2
        assert ((batch.classes != UNKNOWN) == (batch.nucleus[:, ::2, ::2] > 0.5)).mean() > 0.93

    def test_a_set_may_have_a_scale_of_its_own(self) -> None:
        """In crops twice as wide twice as many borders of nuclei are crossed on the way from side to side."""
        nuclei = np.kron(np.eye(20, dtype=np.int32), np.ones((20, 20), np.int32))
        tile = Tile("own", "a", "a", TILE_MPP, np.full((400, 400, 3), 230, np.uint8), nuclei, None)
        crossed = []
        for scale in (0.6, 1.2):
            crops = Crops(
                [source_of(tile, 1.0, OWN.model_copy(update={"scale": (scale, scale)}))], settings_of(batch=64)
            )
            crossed.append(np.abs(np.diff(crops.batch(0).nucleus > 0.5, axis=2)).mean())
        assert crossed[1] / crossed[0] == pytest.approx(2, rel=0.2)

    def test_distance_is_highest_in_the_middle_of_each_nucleus(self) -> None:
        nuclei = np.zeros((40, 60), np.int32)
        nuclei[5:25, 5:25] = 1
        nuclei[10:20, 25:55] = 2
        distance = relative_distance(nuclei)
        assert distance[nuclei == 0].max() == 0
        assert distance[nuclei == 1].max() == distance[nuclei == 2].max() == 255
        assert distance[14, 14] > distance[14, 24]


class TestLosses:
    def batch(self, tiles: list[Tile], **changed: object) -> TensorBatch:
        sources = [source_of(replace(tile, **changed), 1.0, OWN) for tile in tiles]
        return TensorBatch(Crops(sources, settings_of()).batch(0), torch.device("cpu"))

    def gradients(self, batch: TensorBatch, part: str) -> dict[str, float]:
        torch.manual_seed(0)
        network = MiniNetwork((8, 8, 8, 8))
        loss = losses(network(batch.images), batch, torch.ones(len(CLASSES)), settings_of())[part]
        loss.backward()
        heads = {"shape": network.shape, "class_head": network.class_head}
        return {
            name: float(head.weight.grad.abs().sum()) if head.weight.grad is not None else 0.0
            for name, head in heads.items()
        }

    def test_sets_without_instances_teach_no_distance(self, tiles: list[Tile]) -> None:
        assert self.gradients(self.batch(tiles), "distance")["shape"] > 0
        assert self.gradients(self.batch(tiles, apart=False), "distance")["shape"] == 0

    def test_sets_without_classes_teach_none(self, tiles: list[Tile]) -> None:
        assert self.gradients(self.batch(tiles), "classes")["class_head"] > 0
        assert self.gradients(self.batch(tiles, classes=None), "classes")["class_head"] == 0


class TestMeasured:
    def scores(self, tiles: list[Tile]) -> list[Scores]:
        torch.manual_seed(0)
        return [score(fuse(MiniNetwork((8, 8, 8, 8)).eval()), tile) for tile in tiles]

    def test_what_one_group_tells_has_no_interval(self, tiles: list[Tile]) -> None:
        scores = self.scores(tiles)
        assert [len(figure) for figure in with_intervals(scores[:2], figures).values()] == [1] * len(figures(scores))
        value, low, high = with_intervals(scores, figures)["dice"]
        assert low < value < high

    def test_a_tile_without_classes_does_not_silence_the_others(self, tiles: list[Tile]) -> None:
        scores = self.scores([replace(tiles[0], classes=None), *tiles[1:]])
        assert "accuracy" in class_figures(scores)
        assert class_figures(scores[:1]) == {}

    def test_dice_is_of_masks(self, tiles: list[Tile]) -> None:
        network = fuse(load_network(EMBEDDED))
        one = score(network, tiles[0])
        tile = tiles[0].at(READ_MPP)
        found, known = predict(network, tile.image)["nucleus"] >= 128, tile.nuclei > 0
        assert figures([one])["dice"] == pytest.approx(2 * (found & known).sum() / (found.sum() + known.sum()))


def test_the_rate_warms_up_and_falls() -> None:
    settings = settings_of(steps=100, warm_up=10)
    rates = [schedule(step, settings) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) <= 1.002


class TestCommand:
    def settings_file(self, folder: Path, **more: object) -> Path:
        path = folder / "settings.yaml"
        path.write_text(yaml.safe_dump(settings_of(**more).model_dump(mode="json")))
        return path

    def run(self, data: Path, out: Path, settings: Path, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workflows.train_mini", data, "-o", out, "--settings", settings, *more]
        root = TRAINING.parents[1]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=root, check=False)

    def test_resumed_is_the_same_as_never_interrupted(self, folder: Path, tmp_path: Path) -> None:
        settings = self.settings_file(tmp_path, save_every=2)
        whole = self.run(folder, tmp_path / "whole", settings)
        assert whole.returncode == 0, whole.stderr
        begun = self.run(folder, tmp_path / "parts", settings, "--stop-after", "2")
        assert begun.returncode == 0, begun.stderr
        assert not (tmp_path / "parts" / "mini.safetensors").exists()
        ended = self.run(folder, tmp_path / "parts", settings)
        assert ended.returncode == 0, ended.stderr
        one, other = (load_file(tmp_path / name / "mini.safetensors") for name in ("whole", "parts"))
        assert all(torch.equal(one[name], other[name]) for name in one)
        figures = json.loads((tmp_path / "whole" / "figures.json").read_text())
        assert set(figures["sets"]) == {"own"}
        assert figures["sets"]["own"]["groups"] == 1
        assert (tmp_path / "whole" / "curve.png").exists()

    def test_another_training_in_the_folder_is_refused(self, folder: Path, tmp_path: Path) -> None:
        settings = self.settings_file(tmp_path, save_every=2)
        assert self.run(folder, tmp_path / "out", settings).returncode == 0
        other = self.run(folder, tmp_path / "out", settings, "--seed", "3")
        assert other.returncode != 0
        assert "other settings" in other.stderr
        more = tmp_path / "more"
        shutil.copytree(folder, more)
        shutil.copytree(more / "patient_0", more / "patient_2")
        other = self.run(more, tmp_path / "out", settings)
        assert other.returncode != 0
        assert "other tiles" in other.stderr

    def test_fine_tuning_begins_with_what_was_learnt(self, folder: Path, tmp_path: Path) -> None:
        settings = self.settings_file(tmp_path, steps=1, learning_rate=1e-6)
        done = self.run(folder, tmp_path / "out", settings, "--start", str(EMBEDDED))
        assert done.returncode == 0, done.stderr
        assert "Before, with the initial weights" in done.stdout
        figures = json.loads((tmp_path / "out" / "figures.json").read_text())
        assert figures["before"]["sets"]["own"]["dice"] == pytest.approx(figures["sets"]["own"]["dice"], abs=0.01)
        before, after = load_file(EMBEDDED), load_file(tmp_path / "out" / "mini.safetensors")
        assert all(
            torch.allclose(before[name].float(), after[name].float(), atol=1e-2)
            for name in before
            if "running" not in name
        )

    @pytest.mark.parametrize("name", ["train.yaml", "longer.yaml", "points.yaml", "finetune.yaml"])
    def test_the_settings_of_the_repository_are_valid(self, name: str) -> None:
        TrainingSettings.load(TRAINING / name)

    def test_settings_take_what_they_do_not_say_from_their_base(self) -> None:
        first, longer = (TrainingSettings.load(TRAINING / f"{name}.yaml") for name in ("train", "longer"))
        assert longer.sets == first.sets
        assert (longer.steps, first.steps) == (11_000, 9_000)
        assert TrainingSettings.load(TRAINING / "longer.yaml", steps=5).steps == 5
