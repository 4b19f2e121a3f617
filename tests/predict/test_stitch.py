"""Blending is exact: a constant stays constant, coverage is kept, and blocks and order do not matter."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.one_pass import PaintModel, Scenario, SoftPaintModel, white
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.predict.stitch import blend
from wsi_parse.tissue.mask import TissueMask


class Constant(PaintModel):
    def __init__(self, value: int) -> None:
        self.value = value

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: object) -> dict[str, NDArray[np.uint8]]:
        side = scale_pass.tile_px // scale_pass.channels[0].stride
        return {"ink": np.full((len(images), side, side), self.value, np.uint8)}


@settings(max_examples=25, deadline=None)
@given(
    value=st.integers(1, 255),
    overlap=st.sampled_from([0.0, 0.1, 0.125, 0.25, 0.5, 0.75]),
    tile=st.sampled_from([64, 96, 128]),
    block=st.integers(1, 3),
    stride=st.sampled_from([1, 2, 4]),
    size=st.tuples(st.integers(20, 300), st.integers(20, 300)),
)
def test_a_constant_model_gives_that_constant_everywhere(
    tmp_path_factory: pytest.TempPathFactory,
    value: int,
    overlap: float,
    tile: int,
    block: int,
    stride: int,
    size: tuple[int, int],
) -> None:
    scenario = Scenario(
        white(*size),
        tmp_path_factory.mktemp("c"),
        Constant(value),
        overlap=overlap,
        tile=tile,
        block=block,
        stride=stride,
    )
    plan = scenario.predicted()
    chunks = plan.passes[0].chunks
    values, covered = blend(plan.pass_contexts[0].store, plan.passes[0].selection, "ink", chunks.frame.box)
    assert covered.all()
    assert (values == value).all()


def half_tissue(mask: TissueMask) -> TissueMask:
    left = mask.mask.copy()
    left[:, left.shape[1] // 2 :] = False
    return TissueMask(left, mask.frame)


def test_not_looked_at_is_not_probability_zero(tmp_path: Path) -> None:
    scenario = Scenario(white(1200, 400), tmp_path, Constant(0), tissue=half_tissue)
    plan = scenario.predicted()
    item = plan.passes[0]
    values, covered = blend(plan.pass_contexts[0].store, item.selection, "ink", item.chunks.frame.box)
    assert not values.any()
    assert covered[:, :600].all()
    assert not covered[:, 900:].any()
    # Nothing was found, and still every block counts as done.
    assert all(plan.pass_contexts[0].store.is_whole(block) for block in item.selection.blocks())


@pytest.mark.parametrize("overlap", [0.125, 0.5])
def test_blend_does_not_depend_on_blocks_or_order(tmp_path: Path, overlap: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    maps = []
    for name, block, reverse in (("a", 1, False), ("b", 2, True), ("c", 5, False)):
        scenario = Scenario(pixels, tmp_path / name, NoisyEdges(), tile=128, overlap=overlap, block=block)
        plan = scenario.predicted(reverse)
        maps.append(
            blend(plan.pass_contexts[0].store, plan.passes[0].selection, "ink", plan.passes[0].chunks.frame.box)[0]
        )
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[0], maps[2])


class NoisyEdges(SoftPaintModel):
    """Predicts worse towards the edge of a tile, as networks do, so overlapping tiles disagree."""

    def predict(self, images: NDArray[np.uint8], scale_pass: ScalePass, state: object) -> dict[str, NDArray[np.uint8]]:
        side = images.shape[1]
        fade = np.minimum(np.arange(side), np.arange(side)[::-1]) / side
        return {"ink": ((255 - images[..., 0]) * (0.5 + fade[:, None] * fade)).astype(np.uint8)}


def test_a_part_of_the_map_equals_the_whole(tmp_path: Path) -> None:
    from wsi_parse.geometry import Box

    pixels = np.random.default_rng(2).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    plan = Scenario(pixels, tmp_path, NoisyEdges(), tile=128, overlap=0.25).predicted()
    store, selection = plan.pass_contexts[0].store, plan.passes[0].selection
    whole, _ = blend(store, selection, "ink", Box(-20, -20, 440, 340))
    part, covered = blend(store, selection, "ink", Box(37, 101, 150, 90))
    assert np.array_equal(whole[121:211, 57:207], part)
    assert covered.all()
    assert not whole[:20].any()
