"""Verify the weights of a model: are they undamaged, does the model run, and how good are its results."""

import time
from pathlib import Path
from typing import Any

from wsi_parse.errors import WeightsError
from wsi_parse.evaluate.field_scores import INSIDE, prepare_for, probability_of, score_fields
from wsi_parse.evaluate.labelled_tiles import read_labelled_tiles
from wsi_parse.geometry import Box
from wsi_parse.models.contract import Segmenter
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.models.weights import Weights
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.settings import ModelSettings
from wsi_parse.synthetic import SyntheticSlide


def verify(name: str, file: Path | None, labelled: Path | None, text: str | None, mpp: float) -> dict[str, Any]:
    """Check weights and predict with them.

    Parameters
    ----------
    name : str
        Of the model.
    file : Path or None
        Its weights; None takes the installed ones.
    labelled : Path or None
        Folder with tiles in `images` and masks of the same names in `masks`; non-zero pixels show the target of `text`.
    text : str or None
        Prompt, in words that the model knows; None takes the first target of the model.
    mpp : float
        Microns per pixel of the labelled tiles.

    Returns
    -------
    dict
        The results, as text and numbers.

    Raises
    ------
    WeightsError
        If the weights are damaged or of another model.
    UsageError
        If the folder cannot be used.
    """
    settings = ModelSettings(name=name, weights=file)
    model_class: type[Segmenter] = MODELS.get(name)
    with plugin_named("model", name):
        weights, facts = check_weights(model_class, settings)
        model = model_class(settings, weights)
        prompt = model_class.spec.prompt_of(text or model_class.spec.prompts[0])
        scale_pass = model_class.plan([prompt], settings)[0]
        facts |= {"prompt": prompt.name, "field_um": scale_pass.field_um}
        facts |= predict_painted(model, scale_pass)
        if labelled is not None:
            facts |= score_fields(model, scale_pass, read_labelled_tiles(labelled), mpp).to_dict()
    return facts


def check_weights(model_class: type[Segmenter], settings: ModelSettings) -> tuple[Weights | None, dict[str, Any]]:
    """Find weights, hash them, and check their tensors by name.

    Returns
    -------
    weights : Weights or None
        None for a model that has none.
    facts : dict
        For JSON.

    Raises
    ------
    WeightsError
        If they are damaged, of another model, or installed ones are not those that were recorded.
    """
    weights = model_class.find_weights(settings)
    if weights is None:
        return None, {}
    weights.check()
    recorded = model_class.recorded_sha256() if settings.weights is None else None
    if recorded is not None and recorded != weights.sha256:
        raise WeightsError(
            f"The installed weights of {model_class.spec.name} are not those of this version: sha256 "
            f"{weights.sha256[:12]}… instead of {recorded[:12]}….",
            "Install wsi-parse again.",
        )
    return weights, {**model_class.weights_info(weights), "sha256": weights.sha256, "revision": weights.revision}


def predict_painted(model: Segmenter, scale_pass: ScalePass, seconds: float = 0.0) -> dict[str, Any]:
    """Predict a painted field: this shows that the model runs, not how well.

    Parameters
    ----------
    model : Segmenter
    scale_pass : ScalePass
        With one recipe.
    seconds : float
        For how long the field is predicted again, to time it: the first prediction also loads the network.
    """
    side = max(1024, scale_pass.tile_px)
    corner = (side - scale_pass.tile_px) // 2
    slide = SyntheticSlide(side, side, seed=1)
    image = slide.pixels(Box(corner, corner, scale_pass.tile_px, scale_pass.tile_px))
    started = time.perf_counter()
    state = prepare_for(model, image, scale_pass)
    probability = probability_of(model, scale_pass, image, state)
    first = time.perf_counter() - started
    facts = {
        **{name: state[key] for name, key in (("device", "device_name"), ("precision", "precision")) if key in state},
        "painted_mask_share": round(float((probability >= INSIDE).mean()), 4),
        "painted_highest_probability": round(float(probability.max() / 255), 4),
        "seconds": round(first, 2),
    }
    if seconds:
        started, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() - started < seconds:
            probability_of(model, scale_pass, image, state)
            calls += 1
        facts |= {"timed_calls": calls, "seconds_per_tile": round((time.perf_counter() - started) / calls, 4)}
    return facts
