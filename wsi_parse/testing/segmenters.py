"""SegmenterTests: the contract of every model."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass


class SegmenterTests:
    """The contract of every model. Provide fixtures `model`, `scale_pass` (one of its passes), `state` and `images`."""

    def test_channels_are_what_the_plan_says(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """Names, shapes and range."""
        channels = model.predict(images, scale_pass, state)
        assert set(channels) >= {channel.name for channel in scale_pass.channels}
        for channel in scale_pass.channels:
            side = scale_pass.tile_px // channel.stride
            values = channels[channel.name]
            assert values.shape == (len(images), side, side)
            assert to_uint8(channel.name, values).dtype == np.uint8

    def test_the_same_tiles_give_the_same_channels(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """Results are the same when repeated, and for any order of the batch."""
        first, again = (model.predict(images, scale_pass, state) for _ in range(2))
        backwards = model.predict(images[::-1], scale_pass, state)
        for channel in scale_pass.channels:
            assert np.array_equal(first[channel.name], again[channel.name])
            assert np.array_equal(first[channel.name], backwards[channel.name][::-1])

    def test_every_recipe_names_channels_that_exist(self, scale_pass: ScalePass) -> None:
        """A recipe can only use channels that the model returns."""
        names = {channel.name for channel in scale_pass.channels}
        for recipe in scale_pass.recipes:
            assert recipe.probability in names
            assert set(recipe.classes) <= names
            assert recipe.distance is None or recipe.distance in names
            assert recipe.class_channel is None or recipe.class_channel in recipe.classes
