"""Synthetic slides: pixels do not depend on how they are read, the truth fits them, and readers open the files."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import openslide
import pytest
import shapely
import tifffile
import tiffslide
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import rgb2hed

from wsi_parse.geometry import Box
from wsi_parse.synthetic import (
    IDENTIFIERS,
    PLAIN_COLOURS,
    PLAIN_TISSUE,
    Kind,
    SyntheticSlide,
    demo_slide,
    truth_features,
    write_generic_tiff,
    write_leica_scn,
    write_ome_tiff,
    write_svs_like,
    write_truth,
)
from wsi_parse.synthetic.layout import SQUARE_PX
from wsi_parse.synthetic.noise import smooth_noise, upsample
from wsi_parse.synthetic.nuclei import SHAPES, shape_of, stamp_of
from wsi_parse.synthetic.placement import nuclei_of_square
from wsi_parse.synthetic.pyramid import Pyramid

SLIDE = SyntheticSlide(3001, 2503, seed=5, tissue=0.75)
BUSY = Box(700, 600, 1500, 1300)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return SLIDE.pixels(BUSY)


def boxes(inside: Box) -> st.SearchStrategy[Box]:
    return st.builds(
        lambda left, top, width, height: Box(inside.x + left, inside.y + top, width, height),
        st.integers(0, inside.width - 300),
        st.integers(0, inside.height - 300),
        st.integers(1, 300),
        st.integers(1, 300),
    )


class TestLattice:
    @settings(max_examples=15, deadline=None)
    @given(box=boxes(BUSY))
    def test_pixels_do_not_depend_on_the_box(self, picture: np.ndarray, box: Box) -> None:
        assert (SLIDE.pixels(box) == picture[box.relative_to(BUSY).slices]).all()

    def test_pixels_do_not_depend_on_the_order(self, picture: np.ndarray) -> None:
        nuclei_of_square.cache_clear()
        twin = SyntheticSlide(3001, 2503, seed=5, tissue=0.75)
        strips = [twin.pixels(strip) for strip in reversed(list(BUSY.strips(170)))]
        assert (np.concatenate(strips[::-1]) == picture).all()

    def test_another_seed_is_another_slide(self, picture: np.ndarray) -> None:
        other = SyntheticSlide(3001, 2503, seed=6, tissue=0.75)
        assert (other.pixels(BUSY) != picture).any(axis=2).mean() > 0.5

    @settings(max_examples=15, deadline=None)
    @given(box=boxes(BUSY))
    def test_nuclei_of_a_box_are_those_whose_centre_lies_in_it(self, box: Box) -> None:
        everything = SLIDE.nuclei(SLIDE.box)
        inside = (everything["x"] >= box.x) & (everything["x"] < box.right)
        inside &= (everything["y"] >= box.y) & (everything["y"] < box.bottom)
        order = ["y", "x"]
        assert (np.sort(SLIDE.nuclei(box), order=order) == np.sort(everything[inside], order=order)).all()

    def test_truth_streams_in_bounded_pieces(self) -> None:
        pieces = list(SLIDE.iterate_nuclei())
        assert len(pieces) == SLIDE.box.covering(SQUARE_PX).area
        assert max(map(len, pieces)) < 600
        assert (np.concatenate(pieces) == SLIDE.nuclei(SLIDE.box)).all()

    def test_noise_does_not_depend_on_the_window(self) -> None:
        x, y = np.arange(-50.0, 150.0), np.arange(0.0, 90.0)
        whole = smooth_noise(x, y, 17.0, 4)
        assert np.allclose(whole[20:50, 60:90], smooth_noise(x[60:90], y[20:50], 17.0, 4), atol=1e-12)
        assert abs(whole.mean()) < 0.3
        assert 0.2 < whole.std() < 0.8

    def test_upsampling_keeps_constants_and_slopes(self) -> None:
        assert (upsample(np.full((7, 9), 77.0), 16) == 77).all()
        slope = np.broadcast_to(np.arange(-1, 8) * 160.0, (7, 9))
        expected = (np.arange(6 * 16) + 0.5) * 10.0
        assert np.abs(upsample(slope, 16)[3] - expected).max() <= 2


class TestTruth:
    @pytest.mark.parametrize("kind", Kind)
    @pytest.mark.parametrize("mpp", [(0.25, 0.25), (0.5, 0.25)])
    def test_a_stamp_is_centred_and_has_the_size_it_says(self, kind: Kind, mpp: tuple[float, float]) -> None:
        for index in range(0, SHAPES, 5):
            stamp = stamp_of(kind, index, 3 + index, mpp)
            half = stamp.stain > stamp.stain.max() * 0.3
            row, column = ndimage.center_of_mass(half)
            assert abs(row - stamp.half_height) < 0.5
            assert abs(column - stamp.half_width) < 0.5
            shape = shape_of(kind, index)
            ellipse_px = np.pi * shape.semi_major_um * shape.semi_minor_um / (mpp[0] * mpp[1])
            assert stamp.inside.sum() == pytest.approx(ellipse_px, rel=0.12)

    def test_nuclei_are_darker_and_bluer_than_around(self, picture: np.ndarray) -> None:
        nuclei = SLIDE.nuclei(BUSY.expanded(-20))
        inside = np.zeros(picture.shape[:2], bool)
        for nucleus in nuclei:
            stamp = stamp_of(Kind(nucleus["kind"]), nucleus["shape"], nucleus["turn"], SLIDE.mpp_xy)
            y, x = int(nucleus["y"]) - BUSY.y, int(nucleus["x"]) - BUSY.x
            rows = slice(max(0, y - stamp.half_height), y + stamp.half_height + 1)
            columns = slice(max(0, x - stamp.half_width), x + stamp.half_width + 1)
            part = inside[rows, columns]
            part |= stamp.inside[-part.shape[0] :, -part.shape[1] :] if part.shape[0] else False
        around = ndimage.binary_dilation(inside, iterations=8) & ~ndimage.binary_dilation(inside, iterations=3)
        nucleus_colour, outer_colour = picture[inside].mean(axis=0), picture[around].mean(axis=0)
        assert (nucleus_colour < outer_colour - 10).all()
        assert nucleus_colour[2] - nucleus_colour[0] > outer_colour[2] - outer_colour[0] + 20

    def test_isolated_nuclei_have_their_centroid_where_truth_says(self) -> None:
        sparse = SyntheticSlide(2048, 2048, seed=5, tissue=1.0, density=0.04, touching=False)
        nuclei = sparse.nuclei(Box(100, 100, 1800, 1800))
        offsets = []
        for nucleus in nuclei[:80]:
            window = Box(int(nucleus["x"]) - 40, int(nucleus["y"]) - 40, 81, 81)
            if len(sparse.nuclei(window.expanded(40))) > 1:
                continue
            red = ndimage.gaussian_filter(sparse.pixels(window)[..., 0].astype(float), 1.0)
            middle = (np.median(red) + np.percentile(red[35:46, 35:46], 20)) / 2
            labels, _ = ndimage.label(ndimage.binary_fill_holes(red < middle))
            row, column = ndimage.center_of_mass(labels == labels[40, 40])
            offsets.append((row - 40, column - 40))
        # Chromatin makes the threshold outline of a pale nucleus ragged: half a pixel for nine of ten.
        assert len(offsets) > 20
        assert np.abs(np.mean(offsets, axis=0)).max() < 0.2
        assert np.median(np.abs(offsets)) < 0.25
        assert np.mean(np.abs(offsets) < 0.5) > 0.85

    def test_colour_deconvolution_finds_most_nuclei_at_half_a_micron(self, picture: np.ndarray) -> None:
        small = picture.reshape(BUSY.height // 2, 2, BUSY.width // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
        haematoxylin = ndimage.gaussian_filter(rgb2hed(small)[..., 0], 2.0)
        peaks = (haematoxylin == ndimage.maximum_filter(haematoxylin, 7)) & (haematoxylin > 0.045)
        found = np.argwhere(peaks)[:, ::-1] + 0.5
        nuclei = SLIDE.nuclei(BUSY)
        truth = np.stack([nuclei["x"] - BUSY.x, nuclei["y"] - BUSY.y], axis=1) / 2
        apart = np.linalg.norm(truth[:, np.newaxis] - found, axis=2)
        assert (apart.min(axis=1) < 8).mean() > 0.85
        assert (apart.min(axis=0) < 8).mean() > 0.7

    @pytest.mark.parametrize("touching", [True, False])
    def test_centres_keep_apart(self, touching: bool) -> None:
        slide = SyntheticSlide(2048, 2048, seed=2, tissue=1.0, touching=touching)
        nuclei = slide.nuclei(slide.box)
        tree = shapely.STRtree(shapely.points(nuclei["x"], nuclei["y"]))
        first, second = tree.query_nearest(tree.geometries, exclusive=True)
        apart = shapely.distance(tree.geometries[first], tree.geometries[second])
        assert apart.min() * 0.25 > 3.0
        if not touching:
            polygons = shapely.polygons(slide.outlines(nuclei))
            pairs = shapely.STRtree(polygons).query(polygons, predicate="intersects")
            assert (pairs[0] == pairs[1]).all()

    def test_all_four_kinds_and_glands(self) -> None:
        slide = SyntheticSlide(6000, 5000, seed=5, tissue=0.7)
        counts = Counter(slide.nuclei(slide.box)["kind"].tolist())
        assert min(counts[kind] for kind in Kind) > 150

    def test_tissue_covers_the_requested_share(self) -> None:
        for share in (0.3, 0.7):
            slide = SyntheticSlide(4000, 3000, seed=1, tissue=share)
            assert slide.tissue_mask(slide.box).mean() == pytest.approx(share, abs=0.12)
        empty = SyntheticSlide(900, 700, tissue=0.0)
        assert not empty.tissue_mask(empty.box).any()
        assert not len(empty.nuclei(empty.box))
        assert empty.pixels(empty.box).min() > 225

    def test_background_is_white_and_tissue_is_not(self) -> None:
        mask = SLIDE.tissue_mask(SLIDE.box)
        pixels = SLIDE.pixels(SLIDE.box)
        far = ~ndimage.binary_dilation(mask[::4, ::4], iterations=8)
        # A wisp of the frayed edge may lie farther out.
        assert (pixels[::4, ::4][far].min(axis=1) > 225).mean() > 0.999
        assert pixels[mask].mean() < 200

    def test_geojson(self, tmp_path: Path) -> None:
        path = tmp_path / "truth.geojson"
        count = write_truth(path, SLIDE)
        features = json.loads(path.read_text())["features"]
        assert len(features) == count == len(SLIDE.nuclei(SLIDE.box))
        assert features == json.loads(json.dumps(list(truth_features(SLIDE))))
        assert len({feature["id"] for feature in features}) == count
        polygons = [shapely.geometry.shape(feature["geometry"]) for feature in features]
        assert shapely.is_valid(polygons).all()
        assert {polygon.geom_type for polygon in polygons} == {"Polygon"}
        nuclei = SLIDE.nuclei(SLIDE.box)
        assert np.allclose(shapely.get_x(shapely.centroid(polygons)), nuclei["x"], atol=0.3)
        assert np.allclose(shapely.get_y(shapely.centroid(polygons)), nuclei["y"], atol=0.3)


class TestPlain:
    def test_colours_are_exact_and_objects_are_countable(self) -> None:
        slide = SyntheticSlide(1500, 1400, seed=5, tissue=1.0, style="plain", touching=False)
        pixels = slide.pixels(slide.box.expanded(50))
        allowed = {(255, 255, 255), PLAIN_TISSUE, *PLAIN_COLOURS.values()}
        assert {tuple(map(int, colour)) for colour in np.unique(pixels.reshape(-1, 3), axis=0)} <= allowed
        nuclei = slide.nuclei(slide.box)
        for kind, colour in PLAIN_COLOURS.items():
            _, count = ndimage.label((pixels == colour).all(axis=2), np.ones((3, 3)))
            assert count == (nuclei["kind"] == kind).sum()

    def test_rectangles_are_where_they_were_put(self) -> None:
        square, colour = Box(500, 490, 37, 41), (255, 0, 0)
        slide = SyntheticSlide(1100, 900, tissue=0.0, rectangles=((square, colour),))
        red = (slide.pixels(slide.box) == colour).all(axis=2)
        assert red.sum() == square.area
        assert red[square.slices].all()

    def test_invalid_parameters_are_refused(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            SyntheticSlide(0, 10)
        with pytest.raises(ValueError, match="seed"):
            SyntheticSlide(10, 10, seed=-1)


@pytest.fixture(scope="module")
def small() -> SyntheticSlide:
    return SyntheticSlide(1301, 1043, seed=5, tissue=0.8)


def box_average(pixels: np.ndarray, factor: int) -> np.ndarray:
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    cut = pixels[: height * factor, : width * factor].astype(np.float64)
    return cut.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))


class TestWriters:
    def test_svs(self, small: SyntheticSlide, tmp_path: Path) -> None:
        path = tmp_path / "a.svs"
        write_svs_like(path, small, quality=90)
        assert list(tmp_path.iterdir()) == [path]
        first = path.read_bytes()
        write_svs_like(path, small, quality=90)
        assert path.read_bytes() == first
        with openslide.OpenSlide(path) as slide:
            assert slide.properties["openslide.vendor"] == "aperio"
            assert float(slide.properties["openslide.mpp-x"]) == 0.25
            assert slide.properties["openslide.objective-power"] == "40"
            assert slide.level_dimensions == ((1301, 1043), (325, 260), (81, 65))
            full = np.asarray(slide.read_region((0, 0), 0, small.box.shape[::-1]).convert("RGB"))
            levels = [
                np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))
                for level in (1, 2)
            ]
        assert np.abs(full.astype(int) - small.pixels(small.box)).mean() < 4
        for level, factor in zip(levels, (4, 16), strict=True):
            assert np.abs(level - box_average(small.pixels(small.box), factor)).mean() < 6
        with tiffslide.TiffSlide(path) as slide:
            assert slide.level_count == 3
            assert slide.properties["tiffslide.mpp-x"] == 0.25

    def test_levels_by_odd_factors_without_loss(self, small: SyntheticSlide, tmp_path: Path) -> None:
        path = tmp_path / "odd.svs"
        write_svs_like(path, small, downsamples=(1, 3, 15), compression="deflate")
        full = small.pixels(small.box)
        with tifffile.TiffFile(path) as file:
            levels = [level.asarray() for level in file.series[0].levels]
        assert (levels[0] == full).all()
        assert [level.shape[:2] for level in levels[1:]] == [(347, 433), (69, 86)]
        assert np.abs(levels[1] - box_average(full, 3)).max() <= 0.5
        assert np.abs(levels[2] - box_average(full, 15)).max() <= 1.0
        with openslide.OpenSlide(path) as slide:
            assert slide.level_downsamples[1] == pytest.approx(3.005, abs=0.001)

    def test_generic_tiff_with_two_pixel_sizes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        write_generic_tiff(path, SyntheticSlide(1030, 600, mpp=(0.25, 0.5), seed=1, tissue=0.8))
        with openslide.OpenSlide(path) as slide:
            assert slide.properties["openslide.vendor"] == "generic-tiff"
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-4)
            assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5, rel=1e-4)
            assert slide.level_count == 3

    def test_generic_tiff_without_pixel_size(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        write_generic_tiff(path, SyntheticSlide(600, 600, tissue=0.0), resolution=False)
        with openslide.OpenSlide(path) as slide:
            assert "openslide.mpp-x" not in slide.properties

    def test_ome_tiff(self, small: SyntheticSlide, tmp_path: Path) -> None:
        path = tmp_path / "a.ome.tif"
        write_ome_tiff(path, small, compression="deflate")
        with tifffile.TiffFile(path) as file:
            assert file.is_ome
            assert 'PhysicalSizeX="0.25"' in str(file.ome_metadata)
            assert len(file.pages[0].subifds) == 2
            assert (file.series[0].levels[0].asarray() == small.pixels(small.box)).all()
        with tiffslide.TiffSlide(path) as slide:
            assert slide.level_dimensions == ((1301, 1043), (325, 260), (81, 65))
        with openslide.OpenSlide(path) as slide:
            assert "openslide.mpp-x" not in slide.properties

    def test_leica_scn(self, tmp_path: Path) -> None:
        path = tmp_path / "a.scn"
        square = Box(200, 100, 64, 32)
        region = SyntheticSlide(1024, 768, seed=5, tissue=0.8, rectangles=((square, (255, 0, 0)),))
        write_leica_scn(path, region, offset=(4000, 3008), compression="deflate")
        with openslide.OpenSlide(path) as slide:
            assert slide.properties["openslide.vendor"] == "leica"
            bounds = [int(slide.properties[f"openslide.bounds-{part}"]) for part in ("x", "y", "width", "height")]
            assert bounds == [4000, 3008, 1024, 768]
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-4)
            assert slide.level_downsamples == (1.0, 4.0, 16.0)
            pixels = np.asarray(slide.read_region((4000, 3008), 0, (1024, 768)).convert("RGB"))
            assert (pixels == region.pixels(region.box)).all()
            for level, factor in ((1, 4), (2, 16)):
                size = 1024 // factor, 768 // factor
                reduced = np.asarray(slide.read_region((4000, 3008), level, size).convert("RGB"))
                assert np.abs(reduced - box_average(pixels, factor)).max() <= 1.0
        with pytest.raises(ValueError, match="multiples of 16"):
            write_leica_scn(path, region, offset=(4001, 3008))

    def test_planted_identifiers_are_in_the_files(self, tmp_path: Path) -> None:
        slide = SyntheticSlide(512, 512, tissue=0.0)
        write_svs_like(tmp_path / "a.svs", slide, identifiers=IDENTIFIERS)
        write_leica_scn(tmp_path / "a.scn", slide, offset=(160, 160), identifiers=IDENTIFIERS)
        with openslide.OpenSlide(tmp_path / "a.svs") as opened:
            assert opened.properties["aperio.User"] == IDENTIFIERS["User"]
            assert set(opened.associated_images) == {"label", "thumbnail"}
        with openslide.OpenSlide(tmp_path / "a.scn") as opened:
            assert opened.properties["leica.barcode"] == IDENTIFIERS["Barcode"]
            assert set(opened.associated_images) == {"macro"}

    @pytest.mark.parametrize("downsamples", [(2, 4), (1, 4, 6), (1, 32)])
    def test_invalid_downsamples_are_refused(self, downsamples: tuple[int, ...], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="downsample"):
            write_svs_like(tmp_path / "a.svs", SyntheticSlide(99, 99), downsamples=downsamples)
        assert not list(tmp_path.iterdir())

    def test_memory_does_not_grow_with_the_height(self, tmp_path: Path) -> None:
        peaks = []
        for height in (4096, 24576):
            slide = SyntheticSlide(1024, height, seed=3, tissue=0.0)
            with Pyramid(slide, (1, 4, 16), "deflate", 85, tmp_path) as pyramid:
                tracemalloc.start()
                count = sum(1 for _ in pyramid.tiles(0))
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            assert count == 4 * height // 256
        # Small caches of bounded size still fill up; the pixels of the taller slide are 63 MB more.
        assert peaks[1] < peaks[0] + 6e6

    def test_demo(self, tmp_path: Path) -> None:
        path = tmp_path / "demo.svs"
        slide = demo_slide(path, truth=tmp_path / "demo.geojson")
        assert path.stat().st_size < 15e6
        with openslide.OpenSlide(path) as opened:
            assert opened.dimensions == (slide.width, slide.height)
