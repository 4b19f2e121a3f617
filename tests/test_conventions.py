"""The conventions of DESIGN.md, section 2, and the small modules that carry them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse import registry
from wsi_parse.errors import SettingsError, UnknownNameError
from wsi_parse.files import atomic, remove, tree_sha256, write_text
from wsi_parse.geometry import Box, Frame
from wsi_parse.prompts import TARGETS, Prompt
from wsi_parse.registry import CLUSTERS, EXPORTERS, MODELS, Registry
from wsi_parse.settings import RunSettings
from wsi_parse.slides.base import Level, PixelSize, SlideInfo
from wsi_parse.slides.slide import Slide, SlideOptions
from wsi_parse.tissue.mask import TissueMask

ROOT = Path(__file__).parent.parent

lengths = st.integers(0, 40)
places = st.integers(-60, 60)
boxes = st.builds(Box, places, places, lengths, lengths)
solid_boxes = boxes.filter(lambda box: box.area > 0)
factors = st.integers(1, 9)
scales = st.floats(0.3, 40.0)
frames = st.builds(
    Frame,
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    mpp_x=st.floats(0.1, 10.0),
    mpp_y=st.floats(0.1, 10.0),
    scale_x=scales,
    scale_y=scales,
)
points = st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1, max_size=8)


def pixels_of(box: Box) -> set[tuple[int, int]]:
    """All (x, y) of a box, by the definition: half-open."""
    return {(x, y) for x in range(box.x, box.x + box.width) for y in range(box.y, box.y + box.height)}


class TestBox:
    def test_is_half_open_and_slices_rows_first(self) -> None:
        array = np.zeros((4, 6), bool)
        box = Box(x=1, y=2, width=3, height=1)
        array[box.slices] = True
        assert np.argwhere(array).tolist() == [[2, 1], [2, 2], [2, 3]]
        assert (box.right, box.bottom) == (4, 3)
        assert box.shape == array[box.slices].shape == (1, 3)

    @pytest.mark.parametrize(("width", "height"), [(-1, 3), (3, -1)])
    def test_has_no_negative_size(self, width: int, height: int) -> None:
        with pytest.raises(ValueError, match="negative"):
            Box(0, 0, width, height)

    @given(boxes)
    def test_area_counts_pixels(self, box: Box) -> None:
        assert box.area == len(pixels_of(box))

    @given(boxes, boxes)
    def test_intersection_is_that_of_the_pixels(self, one: Box, other: Box) -> None:
        common = one.intersection(other)
        assert pixels_of(common) == pixels_of(one) & pixels_of(other)
        assert common.area == other.intersection(one).area

    @given(boxes, solid_boxes)
    def test_contains_means_all_pixels(self, outer: Box, inner: Box) -> None:
        assert outer.contains(inner) == (pixels_of(inner) <= pixels_of(outer))

    @given(solid_boxes, st.integers(0, 9))
    def test_expanded_keeps_the_middle(self, box: Box, margin: int) -> None:
        grown = box.expanded(margin)
        assert grown.contains(box)
        assert (grown.width, grown.height) == (box.width + 2 * margin, box.height + 2 * margin)
        assert grown.x + grown.right == box.x + box.right

    @given(boxes, st.integers(1, 50))
    def test_strips_partition(self, box: Box, height: int) -> None:
        strips = list(box.strips(height))
        assert all(strip.height <= height and strip.width == box.width for strip in strips)
        cut = [pixel for strip in strips for pixel in pixels_of(strip)]
        assert len(cut) == len(set(cut))
        assert set(cut) == pixels_of(box)

    @given(solid_boxes, factors)
    def test_covering_is_the_smallest_that_covers(self, box: Box, factor: int) -> None:
        coarse = box.covering(factor)
        assert pixels_of(coarse) == {(x // factor, y // factor) for x, y in pixels_of(box)}

    @given(solid_boxes, factors)
    def test_covering_undoes_multiplied(self, box: Box, factor: int) -> None:
        assert box.multiplied(factor).covering(factor) == box

    @given(st.data())
    def test_relative_to_indexes_a_crop(self, data: st.DataObject) -> None:
        whole = np.arange(30 * 20).reshape(20, 30)
        outer = data.draw(boxes_inside(Box(0, 0, 30, 20)))
        inner = data.draw(boxes_inside(outer))
        crop = whole[outer.slices]
        assert np.array_equal(crop[inner.relative_to(outer).slices], whole[inner.slices])


@st.composite
def boxes_inside(draw: st.DrawFn, outer: Box) -> Box:
    left, top = draw(st.integers(outer.x, outer.right)), draw(st.integers(outer.y, outer.bottom))
    right, bottom = draw(st.integers(left, outer.right)), draw(st.integers(top, outer.bottom))
    return Box.from_corners(left, top, right, bottom)


class TestFrame:
    @given(frames, points)
    def test_round_trip(self, frame: Frame, given_points: list[tuple[float, float]]) -> None:
        there = frame.to_level0(given_points)
        assert there.shape == (len(given_points), 2)
        assert np.allclose(frame.from_level0(there), given_points, rtol=1e-12, atol=1e-9)

    def test_points_are_x_then_y(self) -> None:
        frame = Frame.of(1000, 500, level0_mpp=(0.25, 0.5), mpp=0.5)
        assert frame.to_level0([(10, 20)]).tolist() == [[20, 20]]
        assert (frame.width, frame.height) == (500, 500)

    @given(frames)
    def test_pixel_0_0_covers_0_to_1(self, frame: Frame) -> None:
        corners = frame.to_level0([(0, 0), (1, 1)])
        assert corners.tolist() == [[0, 0], [frame.scale_x, frame.scale_y]]

    @given(st.integers(1, 10**6), st.integers(1, 10**6), scales, scales, scales)
    def test_covers_the_slide_with_no_pixel_to_spare(
        self, width: int, height: int, mpp_x: float, mpp_y: float, mpp: float
    ) -> None:
        frame = Frame.of(width, height, (mpp_x, mpp_y), mpp)
        for pixels, length, scale in (
            (frame.width, width, frame.scale_x),
            (frame.height, height, frame.scale_y),
        ):
            assert pixels * scale >= length - 1e-5 * scale
            assert pixels == 1 or (pixels - 1) * scale < length
        assert frame.scale_x * mpp_x == pytest.approx(mpp)
        assert frame.scale_y * mpp_y == pytest.approx(mpp)

    @given(frames, frames, solid_boxes)
    def test_box_in_is_the_smallest_that_covers(self, frame: Frame, other: Frame, box: Box) -> None:
        found = frame.box_in(box, other)
        corners = other.from_level0(frame.to_level0([(box.x, box.y), (box.right, box.bottom)]))
        (left, top), (right, bottom) = corners.tolist()
        noise = 1e-5
        assert found.x - noise <= left < found.x + 1 + noise
        assert found.y - noise <= top < found.y + 1 + noise
        assert found.right - 1 - noise < right <= found.right + noise
        assert found.bottom - 1 - noise < bottom <= found.bottom + noise

    @given(frames, solid_boxes)
    def test_box_in_itself_is_itself(self, frame: Frame, box: Box) -> None:
        assert frame.box_in(box, frame) == box

    @given(frames, factors, solid_boxes)
    def test_coarser_is_the_frame_of_covering_boxes(self, frame: Frame, stride: int, box: Box) -> None:
        coarse = frame.coarser(stride)
        assert coarse.box == frame.box.covering(stride)
        assert frame.box_in(box, coarse) == box.covering(stride)
        assert coarse.pixel_area_um2 == pytest.approx(frame.pixel_area_um2 * stride**2)

    def test_rounding_noise_adds_no_pixels(self) -> None:
        # 3 * 0.1 is 0.30000000000000004: a frame of 1001 pixels would be wrong.
        assert Frame.of(3000, 3000, (0.1, 0.1), 3 * 0.1).width == 1000


class TestArrays:
    """Points (x, y), arrays (rows, columns), images uint8 RGB."""

    def test_a_mask_is_rows_columns_and_a_point_x_y(self) -> None:
        frame = Frame(width=5, height=3, mpp_x=8, mpp_y=8, scale_x=16, scale_y=32)
        mask = np.zeros((3, 5), bool)
        mask[2, 4] = True
        tissue = TissueMask(mask, frame)
        inside = frame.to_level0([(4, 2), (4.99, 2.99), (3.99, 2.5), (2, 4), (5, 2), (-0.01, 0)])
        assert tissue.contains(inside).tolist() == [True, True, False, False, False, False]
        assert tissue.contains(inside, margin_um=8).tolist() == [True, True, True, False, False, False]
        assert tissue.contains(frame.to_level0([(2.5, 2.5), (2.5, 0.5)]), margin_um=16).tolist() == [True, False]
        assert not tissue.contains(np.empty((0, 2)), margin_um=8).any()
        assert tissue.touches(Box(4, 2, 1, 1), frame)
        assert not tissue.touches(Box(0, 0, 4, 3), frame)
        assert tissue.area_mm2 == pytest.approx(64e-6)

    def test_an_image_is_uint8_rgb_and_white_outside(self) -> None:
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[1, 5] = (200, 100, 50)
        slide = Slide(ArrayReader(pixels), pixels, SlideOptions())
        frame = slide.frame(0.5)
        image = slide.read(Box(x=5, y=1, width=2, height=1), frame)
        assert image.dtype == np.uint8
        assert image.tolist() == [[[200, 100, 50], [255, 255, 255]]]
        assert slide.read(frame.box, frame).shape == (4, 6, 3)


class ArrayReader:
    """The smallest reader: an array of known scale."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.info = SlideInfo(
            name="array",
            reader="array",
            vendor="none",
            levels=(Level(pixels.shape[1], pixels.shape[0], 1.0, 1.0),),
            pixel_size=PixelSize(0.5, 0.5, "user"),
            bounds_level0=None,
            objective_power=None,
            fingerprint="0",
        )

    def read_level(self, level: int, box_level: Box) -> np.ndarray:
        assert level == 0
        return self.pixels[box_level.slices]

    def close(self) -> None:
        """Hold nothing."""


def fail_half_way(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error


def fail_in_a_folder(path: Path) -> None:
    path.mkdir()
    raise ValueError("half")


class TestAtomic:
    def test_appears_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "größe 🔬.txt"
        with atomic(target) as temporary:
            temporary.write_text("half")
            assert not target.exists()
            assert temporary.parent == target.parent
            temporary.write_text("whole")
        assert [path.name for path in tmp_path.iterdir()] == [target.name]
        assert target.read_text() == "whole"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_or_not_at_all(self, tmp_path: Path, error: type[BaseException]) -> None:
        target = tmp_path / "result"
        write_text(target, "before")
        with pytest.raises(error), atomic(target) as temporary:
            fail_half_way(temporary, error)
        assert [path.name for path in tmp_path.iterdir()] == ["result"]
        assert target.read_text() == "before"

    def test_a_folder_appears_whole_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "folder"
        for names in (("a", "b"), ("b", "c")):
            with atomic(target) as temporary:
                (temporary / "sub").mkdir(parents=True)
                for name in names:
                    (temporary / "sub" / name).write_text(name)
            assert sorted(path.name for path in (target / "sub").iterdir()) == [*names]
        with pytest.raises(ValueError, match="half"), atomic(target) as temporary:
            fail_in_a_folder(temporary)
        assert sorted(path.name for path in (target / "sub").iterdir()) == ["b", "c"]
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_a_file_does_not_take_the_place_of_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "work").write_text("of years")
        with pytest.raises(OSError, match="mine"):
            write_text(tmp_path / "mine", "ours")
        assert (tmp_path / "mine" / "work").read_text() == "of years"
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_a_hash_of_a_folder_knows_names_and_contents(self, tmp_path: Path) -> None:
        def hashed(**files: str) -> str:
            folder = tmp_path / "folder"
            remove(folder)
            folder.mkdir()
            for name, text in files.items():
                (folder / name).write_text(text)
            return tree_sha256(folder)

        assert hashed(a="1", b="2") == hashed(b="2", a="1")
        different = {hashed(a="1", b="2"), hashed(a="2", b="1"), hashed(a="1"), hashed(a="1", c="2"), hashed(a="12")}
        assert len(different) == 5

    def test_text_is_utf8(self, tmp_path: Path) -> None:
        write_text(tmp_path / "unit", "µm²")
        assert (tmp_path / "unit").read_bytes() == "µm²".encode()


class TestRegistry:
    @pytest.mark.parametrize("kind", [MODELS, EXPORTERS, CLUSTERS], ids=lambda kind: str(kind.kind))
    def test_unknown_name_lists_the_known(self, kind: Registry) -> None:
        with pytest.raises(UnknownNameError) as caught:
            kind.get("nonesuch")
        assert isinstance(caught.value, KeyError)
        assert kind.names()
        for part in (kind.kind, "nonesuch", *kind.names()):
            assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(kind, name) for kind in (MODELS, EXPORTERS, CLUSTERS) for name in kind._builtin],
        ids=lambda value: getattr(value, "kind", value),
    )
    def test_built_in_can_be_had(self, kind: Registry, name: str) -> None:
        assert callable(kind.get(name)) if kind is CLUSTERS else isinstance(kind.get(name), type)

    def test_added_in_the_process(self) -> None:
        own = Registry("model", {})
        own.add("mine", int)
        assert own.get("mine") is int
        assert own.names() == ["mine"]
        assert "mine" not in MODELS.names()

    def test_entry_points(self, monkeypatch: pytest.MonkeyPatch) -> None:
        groups = []

        class Point:
            name = "theirs"

            def load(self) -> type:
                return float

        def found(*, group: str) -> list[Point]:
            groups.append(group)
            return [Point()]

        monkeypatch.setattr(registry, "entry_points", found)
        own = Registry("exporter", {"ours": "builtins:int"})
        assert own.names() == ["ours", "theirs"]
        assert own.get("theirs") is float
        assert own.get("ours") is int
        assert set(groups) == {"wsi_parse.exporters"}


class TestSettings:
    def test_all_problems_are_reported_together(self) -> None:
        with pytest.raises(SettingsError) as caught:
            RunSettings.load(overrides=["tiles.overlp=0.2", "colour=red", "objects.threshold=7"])
        assert isinstance(caught.value, ValueError)
        for name in ("tiles.overlp", "colour", "objects.threshold"):
            assert name in str(caught.value)

    @pytest.mark.parametrize(
        ("override", "section", "key", "value"),
        [
            ("tiles.overlap=0.25", "tiles", "overlap", 0.25),
            (" tiles.block = 2", "tiles", "block", 2),
            ("objects.stains=true", "objects", "stains", True),
            ("export.formats=[geojson]", "export", "formats", ("geojson",)),
            ("export.frame=level0", "export", "frame", "level0"),
            ("compute.threads=null", "compute", "threads", None),
            ("slide.roi=a=b.geojson", "slide", "roi", Path("a=b.geojson")),
        ],
    )
    def test_override(self, override: str, section: str, key: str, value: object) -> None:
        assert getattr(getattr(RunSettings.load(overrides=[override]), section), key) == value

    def test_prompts_by_override(self) -> None:
        assert RunSettings.load(overrides=["prompts=[nuclei, glands]"]).prompts == ("nuclei", "glands")

    @pytest.mark.parametrize(
        "override",
        [
            "",
            "tiles.overlap",
            "=1",
            "tiles.=1",
            "prompts.first.second=1",
            "tiles=1",
            "tiles.block=[1",
            "tiles.overlap=nan",
        ],
    )
    def test_bad_override(self, override: str) -> None:
        with pytest.raises(SettingsError):
            RunSettings.load(overrides=["prompts=[nuclei]", override])

    @pytest.mark.parametrize(
        "content", [b"tiles: [", b"- tiles", b"just words", b"tiles: 3", b"\xff\xfe", b"1: 2", b"{a: b}: c"]
    )
    def test_bad_file(self, tmp_path: Path, content: bytes) -> None:
        config = tmp_path / "bad.yaml"
        config.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            RunSettings.load(config)
        assert caught.value.remedy

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"nonesuch\.yaml"):
            RunSettings.load(tmp_path / "nonesuch.yaml")

    def test_later_wins(self, tmp_path: Path) -> None:
        config = tmp_path / "some.yaml"
        config.write_text("slide: {mpp: 0.25, reader: openslide}\ntiles: {block: 2}\nprompts: [glands]\n")
        settings = RunSettings.load(
            config,
            ["tiles.block=3", "slide.mpp=0.3"],
            prompts=("nuclei",),
            slide={"mpp": 0.5, "reader": None},
        )
        assert (settings.slide.mpp, settings.slide.reader) == (0.5, "openslide")
        assert settings.tiles.block == 3
        assert settings.prompts == ("nuclei",)

    @pytest.mark.parametrize(
        "classes", ["{nuclei: {colour: [1, 2]}}", "{nuclei: {colour: [1, 2, 256]}}", "{a: {name: ''}}"]
    )
    def test_classes_that_qupath_would_refuse(self, classes: str) -> None:
        with pytest.raises(SettingsError, match=r"export\.classes"):
            RunSettings.load(overrides=[f"export.classes={classes}"])

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            RunSettings().tiles.block = 3  # type: ignore[misc]


# What may be changed between a run and its resumption. Region and weights enter by their content, not by their path.
NOT_OF_THE_RESULT = {"tiles.block", "slide.roi", "model.weights", "model.threads"} | {
    f"compute.{name}" for name in type(RunSettings().compute).model_fields
}


def leaves() -> dict[str, object]:
    """Every setting as section.key -> another value than its default."""
    other = {
        "override_mpp": True,
        "roi": "a.geojson",
        "reader": "other",
        "name": "stain",
        "device": "cuda",
        "weights": "a.safetensors",
        "precision": "bfloat16",
        "free_text_kind": "cell",
        "organ": "breast",
        "min_class_probability": 0.5,
        "frame": "level0",
        "cell_expansion_um": 5,
        "classes": "{nuclei: {name: Tumor}}",
        "cluster": "slurm",
        "options": "{cores: 2}",
        "tls_ca": "ca.pem",
        "tls_cert": "cert.pem",
        "tls_key": "key.pem",
    }
    changed: dict[str, object] = {"prompts": "[nuclei]"}
    for section, values in RunSettings().model_dump(exclude={"prompts"}).items():
        for key, value in values.items():
            if key in other:
                changed[f"{section}.{key}"] = other[key]
            elif isinstance(value, bool):
                changed[f"{section}.{key}"] = not value
            elif isinstance(value, float):
                changed[f"{section}.{key}"] = value * 0.9
            elif isinstance(value, tuple):
                changed[f"{section}.{key}"] = "[geojson]"
            else:
                changed[f"{section}.{key}"] = (value or 1) + 1
    return changed


@pytest.mark.parametrize(("name", "value"), leaves().items())
def test_digest_is_of_the_result(name: str, value: object) -> None:
    plain, changed = RunSettings(), RunSettings.load(overrides=[f"{name}={value}"])
    assert changed != plain
    assert (changed.result_digest() == plain.result_digest()) == (name in NOT_OF_THE_RESULT)


def test_digest_takes_more() -> None:
    assert RunSettings().result_digest("model") != RunSettings().result_digest() != ""


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_presets_can_be_loaded(config: Path) -> None:
    settings = RunSettings.load(config)
    assert (settings == RunSettings()) == (config.name == "default.yaml")
    assert not settings.prompts, "a preset says how, not what"


def test_default_preset_is_what_the_command_prints() -> None:
    """To renew it: wsi-parse settings > configs/default.yaml ."""
    from wsi_parse.cli.settings import as_yaml

    assert (ROOT / "configs" / "default.yaml").read_text(encoding="utf-8") == as_yaml(RunSettings())


class TestPrompts:
    @pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
    def test_synonyms_meet_in_one_name(self, target) -> None:  # noqa: ANN001
        for words in (target.name, *target.synonyms):
            prompt = Prompt.parse(f"  {words.upper().replace(' ', '   ')} ")
            assert prompt.known
            assert (prompt.name, prompt.kind, prompt.class_name) == (
                target.name,
                target.kind,
                target.class_name,
            )

    def test_no_words_mean_two_targets(self) -> None:
        words = [word for target in TARGETS for word in (target.name, *target.synonyms)]
        assert len(words) == len(set(words))
        assert len({target.class_name for target in TARGETS}) == len(TARGETS)
        assert len({target.colour for target in TARGETS}) == len(TARGETS)

    def test_unknown_words_stay(self) -> None:
        prompt = Prompt.parse("Blue  dots")
        assert not prompt.known
        assert (prompt.text, prompt.name) == ("Blue  dots", "blue dots")

    @given(st.text(max_size=30))
    def test_names_are_stable(self, text: str) -> None:
        name = Prompt.parse(text).name
        assert Prompt.parse(name).name == name


def test_errors_read_as_message_and_remedy() -> None:
    assert str(SettingsError("It is wrong.", "Do it right.")) == "It is wrong. Do it right."
    assert str(UnknownNameError.of("model", "x", ["b", "a"])) == "There is no model called 'x'. Use one of: a, b."
