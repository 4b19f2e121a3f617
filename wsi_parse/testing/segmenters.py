"""SegmenterTests: what every model must keep."""

from typing import Any

import numpy as np

from wsi_parse.models.contract import Pass, Segmenter, to_uint8


class SegmenterTests:
    """What every model must keep. Give fixtures `model`, `job` (a Pass of it), `state` and `images`."""

    def test_channels_are_what_the_plan_says(self, model: Segmenter, job: Pass, state: Any, images: Any) -> None:  # noqa: ANN401
        """Names, shapes and range."""
        given = model.predict(images, job, state)
        assert set(given) >= {channel.name for channel in job.channels}
        for channel in job.channels:
            side = job.tile_px // channel.stride
            values = given[channel.name]
            assert values.shape == (len(images), side, side)
            assert to_uint8(channel.name, values).dtype == np.uint8

    def test_the_same_tiles_give_the_same_answer(self, model: Segmenter, job: Pass, state: Any, images: Any) -> None:  # noqa: ANN401
        """Twice, and whatever else is in the batch."""
        first, again = (model.predict(images, job, state) for _ in range(2))
        backwards = model.predict(images[::-1], job, state)
        for channel in job.channels:
            assert np.array_equal(first[channel.name], again[channel.name])
            assert np.array_equal(first[channel.name], backwards[channel.name][::-1])

    def test_every_recipe_names_channels_that_exist(self, job: Pass) -> None:
        """A prompt cannot ask for what the model does not give."""
        names = {channel.name for channel in job.channels}
        for recipe in job.recipes:
            assert recipe.probability in names
            assert set(recipe.classes) <= names
            assert recipe.distance is None or recipe.distance in names
            assert recipe.answer is None or recipe.answer in recipe.classes
