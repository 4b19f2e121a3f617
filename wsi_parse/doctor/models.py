"""The weights of each model: installed, whole, under which licence; or how to get them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsi_parse.doctor.finding import REINSTALL, Finding, Status, bytes_in_words
from wsi_parse.errors import PluginError, WeightsError
from wsi_parse.models.contract import Segmenter
from wsi_parse.registry import MODELS, plugin_named
from wsi_parse.settings import ModelSettings

# Larger files are hashed by `models verify`: it may take a minute.
_HASHED_BYTES = 200_000_000


def check_models(check: str) -> Iterator[Finding]:
    """Look for the weights of every model."""
    for name in MODELS.names():
        try:
            model: type[Segmenter] = MODELS.get(name)
            with plugin_named("model", name):
                yield _weights(check, name, model)
        except PluginError as error:
            yield Finding(check, name, "warn", error.message, error.remedy)


def _weights(check: str, name: str, model: type[Segmenter]) -> Finding:
    licence = f"licence {model.spec.licence}; {model.spec.purpose}"
    facts: dict[str, Any] = {"licence": model.spec.licence, "purpose": model.spec.purpose}
    try:
        weights = model.find_weights(ModelSettings(name=name))
        if weights is None:
            return Finding(check, name, "ok", f"It needs no weights; {licence}.", facts=facts)
        size = weights.path.stat().st_size
        recorded = model.recorded_sha256()
        facts |= {"sha256": weights.sha256, "bytes": size, "recorded_sha256": recorded}
        if size <= _HASHED_BYTES:
            weights.check()
    except WeightsError as error:
        # A model that was never installed is no failure: others may do.
        status: Status = "warn" if model.spec.download else "fail"
        size_text = f" ({model.spec.download})" if model.spec.download else ""
        text = f"{error.message} It finds {_targets(model)}; {licence}."
        return Finding(check, name, status, text, f"{error.remedy}{size_text}{_token(model)}", facts)
    if recorded is not None and recorded != weights.sha256:
        text = f"The weights have sha256 {weights.sha256[:12]}…, and those of this version {recorded[:12]}…: {licence}."
        return Finding(check, name, "fail", text, REINSTALL, facts)
    fits = "as recorded" if size <= _HASHED_BYTES and recorded else "of the right size"
    text = f"Installed, {bytes_in_words(size)}, {fits}: sha256 {weights.sha256[:12]}…; {licence}."
    remedy = "" if size <= _HASHED_BYTES else f"to hash it and predict: wsi-parse models verify {name}"
    return Finding(check, name, "ok", text, remedy, facts)


def _targets(model: type[Segmenter]) -> str:
    others = ", and free text" if model.spec.free_text else ""
    return f"{', '.join(model.spec.prompts)}{others}"


def _token(model: type[Segmenter]) -> str:
    """Say what comes first, where weights are downloaded: a token of the hub, whose value is not read here."""
    if not model.spec.download:
        return ""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    has_token = bool(os.environ.get("HF_TOKEN")) or (home / "token").exists()
    return "   (a token of Hugging Face is there)" if has_token else "   (first: hf auth login)"
