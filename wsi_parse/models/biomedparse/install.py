"""Installs BiomedParse from the hub, or from a local checkpoint."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsi_parse.errors import MissingFileError, StoreError, WeightsError
from wsi_parse.gates import check_input
from wsi_parse.models.biomedparse import existence
from wsi_parse.models.biomedparse.network_sizes import RELEASED
from wsi_parse.models.contract import ModelSpec
from wsi_parse.models.hub import fetch, look_up, no_space
from wsi_parse.models.weights import CACHE_VARIABLE, Weights, forget, model_folder, weights_path, write_card

REPOSITORY = "microsoft/BiomedParse"
CHECKPOINT = "biomedparse_v1.pt"
# 340 M parameters in float32.
CONVERTED_BYTES = 1_370_000_000


def install_file(file: Path, spec: ModelSpec) -> Weights:
    """Check, convert and install a checkpoint, with `target_dist.json` if it is in the same folder.

    Raises
    ------
    WeightsError
        If it is not the released network; an earlier installation stays.
    """
    check_input(file, "a checkpoint", error=WeightsError)
    folder = _make_folder(spec.name)
    if (free := shutil.disk_usage(folder).free) < CONVERTED_BYTES:
        raise no_space(f"{CONVERTED_BYTES / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free in {folder}.")
    beside = file.parent / existence.FILE_NAME
    statistic = _checked(beside if beside.exists() else None)
    try:
        _convert(file, spec)
    except WeightsError:
        with suppress(OSError):
            folder.rmdir()
        raise
    return _declare(spec, statistic, {"source": file.name})


def install_download(spec: ModelSpec, revision: str) -> Weights:
    """Download, check, convert and install.

    Raises
    ------
    DownloadError
        Says why the download failed.
    WeightsError
        If the downloaded file is not the released network.
    """
    folder = _make_folder(spec.name)
    checkpoint = look_up(REPOSITORY, CHECKPOINT, revision)
    incoming = folder / "download"
    incoming.mkdir(exist_ok=True)
    path = fetch(checkpoint, incoming, spare_bytes=CONVERTED_BYTES)
    statistic = _checked(_optional(incoming, checkpoint.revision))
    try:
        _convert(path, spec)
    except WeightsError:
        # The file is as on the hub, but of no use.
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    facts = {
        "source": f"{REPOSITORY}/{CHECKPOINT}",
        "revision": checkpoint.revision,
        "source_sha256": checkpoint.sha256,
    }
    weights = _declare(spec, statistic, facts)
    shutil.rmtree(incoming, ignore_errors=True)
    return weights


def _optional(incoming: Path, revision: str) -> Path | None:
    """Download the existence statistic; it is optional."""
    try:
        file = look_up(REPOSITORY, existence.FILE_NAME, revision)
    except MissingFileError:
        return None
    return fetch(file, incoming)


def _make_folder(name: str) -> Path:
    folder = model_folder(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} cannot be created: {error.strerror or error}.",
            f"Set {CACHE_VARIABLE} to another folder.",
        ) from error
    return folder


def _convert(checkpoint: Path, spec: ModelSpec) -> None:
    # Imported here, so that a failed download is reported without loading torch.
    from wsi_parse.models.biomedparse.convert import convert

    convert(checkpoint, _new(spec.name), RELEASED)


def _new(name: str) -> Path:
    return weights_path(name).with_name("new.safetensors")


def _checked(statistic: Path | None) -> Path | None:
    """Read the existence statistic before anything is replaced."""
    if statistic is not None:
        existence.TargetDistributions.load(statistic)
    return statistic


def _declare(spec: ModelSpec, statistic: Path | None, facts: dict[str, Any]) -> Weights:
    """Replace the earlier installation; the card is written last."""
    path = weights_path(spec.name)
    forget(spec.name)
    _new(spec.name).replace(path)
    beside = path.with_name(existence.FILE_NAME)
    if statistic is None:
        beside.unlink(missing_ok=True)
    else:
        shutil.copyfile(statistic, beside)
    return write_card(spec.name, {"licence": spec.licence, "purpose": spec.purpose, **facts})
