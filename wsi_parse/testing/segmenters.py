"""SegmenterTests: what every model must keep."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import ScalePass


class SegmenterTests:
    """What every model must keep. Give fixtures `model`, `scale_pass` (a Pass of it), `state` and `images`."""

    def test_channels_are_what_the_plan_says(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """Names, shapes and range."""
        given = model.predict(images, scale_pass, state)
        assert set(given) >= {channel.name for channel in scale_pass.channels}
        for channel in scale_pass.channels:
            side = scale_pass.tile_px // channel.stride
            values = given[channel.name]
            assert values.shape == (len(images), side, side)
            assert to_uint8(channel.name, values).dtype == np.uint8

    def test_the_same_tiles_give_the_same_answer(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """Twice, and whatever else is in the batch."""
        first, again = (model.predict(images, scale_pass, state) for _ in range(2))
        backwards = model.predict(images[::-1], scale_pass, state)
        for channel in scale_pass.channels:
            assert np.array_equal(first[channel.name], again[channel.name])
            assert np.array_equal(first[channel.name], backwards[channel.name][::-1])

    def test_every_recipe_names_channels_that_exist(self, scale_pass: ScalePass) -> None:
        """A prompt cannot ask for what the model does not give."""
        names = {channel.name for channel in scale_pass.channels}
        for recipe in scale_pass.recipes:
            assert recipe.probability in names
            assert set(recipe.classes) <= names
            assert recipe.distance is None or recipe.distance in names
            assert recipe.class_channel is None or recipe.class_channel in recipe.classes
