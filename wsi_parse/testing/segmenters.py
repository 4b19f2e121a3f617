"""SegmenterTests: the contract of every model."""

import itertools
import json
import pickle
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_parse.errors import UnknownPromptError, WeightsError
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter, State, to_uint8
from wsi_parse.models.scale_pass import Recipe, ScalePass
from wsi_parse.prompts import Prompt
from wsi_parse.settings import ModelSettings, TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.tissue.detection import detect_tissue

# Becomes part of the names of files.
_PASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Of an image in a batch of others, in levels of 255: networks sum in another order there.
_TOLERANCE = 1


class SegmenterTests:
    """The contract of every model.

    Provide fixtures `model`, `scale_pass` (one of its passes), `state` (for `predict`) and `images` (uint8, at least
    two tiles of that pass).
    """

    # ---- what is known without loading it --------------------------------------------------------------------------

    def test_the_spec_says_what_it_is_and_which_words_it_knows(self, model: Segmenter) -> None:
        """A name for the command line, sentences for people, and words that lead back to its targets."""
        spec = model.spec
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", spec.name)
        assert spec.summary.strip()
        assert spec.licence.strip()
        assert "research" in spec.purpose
        assert spec.rank >= 0
        assert spec.prompts
        assert len(set(spec.prompts)) == len(spec.prompts)
        assert {target.name for target in spec.vocabulary} <= set(spec.prompts)
        for name in spec.prompts:
            prompt = spec.prompt_of(name)
            assert (prompt.name, prompt.known) == (name, True)
        for target in spec.vocabulary:
            for words in (target.name, *target.synonyms):
                prompt = spec.prompt_of(words)
                assert (prompt.name, prompt.kind, prompt.class_name) == (target.name, target.kind, target.class_name)

    def test_the_class_can_be_found_by_a_worker(self, model: Segmenter) -> None:
        """Workers import it by its name; settings and weights travel to them."""
        assert pickle.loads(pickle.dumps(type(model))) is type(model)
        for sent in (model.settings, model.weights):
            assert pickle.loads(pickle.dumps(sent)) == sent

    def test_the_card_is_text(self, model: Segmenter) -> None:
        """A model without a card has an empty one."""
        assert isinstance(type(model).card(), str)

    # ---- the plan --------------------------------------------------------------------------------------------------

    def test_every_prompt_is_in_exactly_one_recipe(self, model: Segmenter) -> None:
        """Each prompt alone, each pair, and all at once."""
        names = model.spec.prompts
        for some in (*((name,) for name in names), *itertools.combinations(names, 2), names):
            prompts = [model.spec.prompt_of(name) for name in some]
            passes = type(model).plan(prompts, _settings(model))
            answered = [recipe.prompt.name for one in passes for recipe in one.recipes]
            assert sorted(answered) == sorted(some)
            assert len({one.name for one in passes}) == len(passes)
            for scale_pass in passes:
                _check_pass(scale_pass)

    def test_the_plan_needs_no_weights(self, model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a run would do is shown before weights are downloaded."""

        def missing(cls: type[Segmenter], settings: ModelSettings) -> None:
            raise WeightsError("There are none.")

        monkeypatch.setattr(type(model), "find_weights", classmethod(missing))
        settings = _settings(model).model_copy(update={"weights": None})
        assert type(model).plan([model.spec.prompt_of(model.spec.prompts[0])], settings)

    def test_the_plan_does_not_depend_on_classes_and_colours(self, model: Segmenter) -> None:
        """They are of the outputs: a run that changes them uses its maps again."""
        prompts = [model.spec.prompt_of(name) for name in model.spec.prompts]
        changed = [replace(prompt, class_name="Other", colour=(1, 2, 3)) for prompt in prompts]
        one, other = (_planned(type(model).plan(given, _settings(model))) for given in (prompts, changed))
        assert one == other

    def test_unknown_words_are_refused_or_taken_as_free_text(self, model: Segmenter) -> None:
        """The refusal says what to do."""
        prompt = Prompt.parse("something that no model was trained for")
        if model.spec.free_text:
            (scale_pass,) = type(model).plan([prompt], _settings(model))
            assert scale_pass.recipes[0].model_prompt
            return
        with pytest.raises(UnknownPromptError) as caught:
            type(model).plan([prompt], _settings(model))
        assert caught.value.message
        assert caught.value.remedy

    def test_every_recipe_names_channels_that_exist(self, scale_pass: ScalePass) -> None:
        """A recipe can only use channels that the model returns."""
        _check_pass(scale_pass)

    # ---- predictions -----------------------------------------------------------------------------------------------

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
        """Results are the same when repeated, and for any order of the batch; the images stay as they are."""
        before = images.copy()
        first, again = (model.predict(images, scale_pass, state) for _ in range(2))
        backwards = model.predict(images[::-1], scale_pass, state)
        for channel in scale_pass.channels:
            assert np.array_equal(first[channel.name], again[channel.name])
            assert np.array_equal(first[channel.name], backwards[channel.name][::-1])
        assert np.array_equal(images, before)

    def test_a_tile_does_not_depend_on_the_others_of_its_batch(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """A batch is filled up with empty tiles where too few are left."""
        filled = images.copy()
        filled[1:] = 0
        together, alone = (_bytes(model.predict(given, scale_pass, state), scale_pass) for given in (images, filled))
        for name, values in together.items():
            assert np.abs(values[0].astype(int) - alone[name][0]).max() <= _TOLERANCE

    def test_predictions_depend_on_nothing_but_what_names_their_maps(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """On the pass's name and scale, its channels, and the words of its recipes (`model_prompt`).

        A run uses its maps again when anything else has changed: another class, colour, kind or threshold must not
        change a prediction.
        """
        changed = replace(scale_pass, notes=("Something else.",), recipes=tuple(map(_changed, scale_pass.recipes)))
        one, other = (_bytes(model.predict(images, given, state), scale_pass) for given in (scale_pass, changed))
        for name, values in one.items():
            assert np.array_equal(values, other[name])

    def test_threads_predict_the_same(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """One instance serves several threads at once."""
        expected = _bytes(model.predict(images, scale_pass, state), scale_pass)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: _bytes(model.predict(images, scale_pass, state), scale_pass), range(4)))
        for channels in found:
            for name, values in expected.items():
                assert np.array_equal(channels[name], values)

    # ---- what is kept of a slide -----------------------------------------------------------------------------------

    def test_the_state_is_json_and_repeats(
        self, model: Segmenter, scale_pass: ScalePass, images: NDArray[np.uint8]
    ) -> None:
        """It goes to the manifest and comes back; the same slide gives the same state."""
        first, again = (_prepared(model, scale_pass) for _ in range(2))
        text = json.dumps(dict(first), allow_nan=False, sort_keys=True)
        assert text == json.dumps(dict(again), allow_nan=False, sort_keys=True)
        returned: dict[str, Any] = json.loads(text)
        one, other = (_bytes(model.predict(images, scale_pass, given), scale_pass) for given in (first, returned))
        for name, values in one.items():
            assert np.array_equal(values, other[name])

    def test_what_it_says_of_a_slide_is_json_facts_of_its_prompts(
        self, model: Segmenter, scale_pass: ScalePass, state: State, images: NDArray[np.uint8]
    ) -> None:
        """Also of a slide on which no tile was predicted; "sentence" is text."""
        predictions = _bytes(model.predict(images, scale_pass, state), scale_pass)
        noted = model.observe(images, predictions, scale_pass)
        for values in noted.values():
            assert values.ndim == 2
            assert len(values) == len(images)
        for given in (noted, {}):
            facts = model.summarise(given, scale_pass)
            json.dumps(facts, allow_nan=False)
            assert set(facts) <= {recipe.prompt.name for recipe in scale_pass.recipes}
            assert all(isinstance(of_prompt.get("sentence", ""), str) for of_prompt in facts.values())


def _settings(model: Segmenter) -> ModelSettings:
    return model.settings.model_copy(update={"field_um": None, "organ": None})


def _check_pass(scale_pass: ScalePass) -> None:
    """Hold a pass to the contract: scales, strides, and channels that exist."""
    assert _PASS_NAME.fullmatch(scale_pass.name)
    assert scale_pass.field_um > 0
    assert scale_pass.read_mpp > 0
    assert abs(scale_pass.tile_px * scale_pass.read_mpp - scale_pass.field_um) <= scale_pass.read_mpp / 2
    names = [channel.name for channel in scale_pass.channels]
    assert len(set(names)) == len(names)
    assert all(scale_pass.tile_px % channel.stride == 0 for channel in scale_pass.channels)
    assert pickle.loads(pickle.dumps(scale_pass)) == scale_pass
    for recipe in scale_pass.recipes:
        assert recipe.probability in names
        assert set(recipe.classes) <= set(names)
        assert recipe.distance is None or recipe.distance in names
        assert recipe.class_channel is None or recipe.class_channel in recipe.classes


def _planned(passes: Sequence[ScalePass]) -> list[ScalePass]:
    """Return the passes with prompts of which only the names are left."""
    bare = Prompt.parse("nuclei")
    return [
        replace(one, recipes=tuple(replace(r, prompt=replace(bare, name=r.prompt.name)) for r in one.recipes))
        for one in passes
    ]


def _changed(recipe: Recipe) -> Recipe:
    """Change all of a recipe that maps must not depend on."""
    prompt = replace(
        recipe.prompt,
        text="other words",
        name="others",
        kind="region" if recipe.prompt.kind == "cell" else "cell",
        class_name="Other",
        colour=(1, 2, 3),
        known=not recipe.prompt.known,
        site="elsewhere",
    )
    return Recipe(prompt, recipe.probability, model_prompt=recipe.model_prompt, min_class_probability=0.123)


def _bytes(channels: Any, scale_pass: ScalePass) -> dict[str, NDArray[np.uint8]]:  # noqa: ANN401 - what predict returns
    return {channel.name: to_uint8(channel.name, channels[channel.name]) for channel in scale_pass.channels}


def _prepared(model: Segmenter, scale_pass: ScalePass) -> State:
    """Let the model prepare for a made slide."""
    pixels = SyntheticSlide(768, 640, seed=5).pixels(Box(0, 0, 768, 640))
    with open_slide(pixels, SlideOptions(scale_pass.read_mpp)) as slide:
        return model.prepare(slide, detect_tissue(slide, TissueSettings(detect=False)))
