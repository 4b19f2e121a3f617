"""The full-size network, made by the recipe, on its way from a published file to objects of a real slide."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.biomedparse.reference import checkpoint
from tests.models.biomedparse.test_convert import Harmful
from tests.models.biomedparse.test_runs import square
from tests.shared import shared_data_root
from tests.small_slides import as_a_model_sees_it
from wsi_parse.compute.worker import predict_task
from wsi_parse.geometry import Box
from wsi_parse.models.biomedparse.segmenter import BiomedParseModel
from wsi_parse.run.layout import lay_out
from wsi_parse.run.manifest import RunManifest, sha256_of
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.slow

NEEDED_BYTES = 340_360_952 * 4
SOME = "sem_seg_head.predictor.decoder_norm.weight"


def wsi_parse(cache: Path, *arguments: object, check: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "wsi_parse.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "WSI_PARSE_CACHE": str(cache)},
    )
    assert done.returncode == check, done.stderr
    return done


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, full_checkpoint: Path) -> Path:
    """A cache with the full-size network in it, put there by the command."""
    folder = tmp_path_factory.mktemp("cache")
    stderr = wsi_parse(folder, "models", "get", "biomedparse", "--from", full_checkpoint).stderr
    assert "CC-BY-NC-SA-4.0; non-commercial; research use only, not for clinical decisions" in stderr
    assert "sha256" in stderr
    return folder


def test_the_whole_file_is_installed_and_verified(cache: Path) -> None:
    folder = cache / "models" / "biomedparse"
    assert sorted(path.name for path in folder.iterdir()) == ["weights.json", "weights.safetensors"]
    card = json.loads((folder / "weights.json").read_text())
    assert card["sha256"] == sha256_of(folder / "weights.safetensors")
    assert card["bytes"] == pytest.approx(NEEDED_BYTES, rel=1e-3)
    labelled = shared_data_root() / "nuclei" / "tnbc"
    small = cache / "labelled"
    for kind in ("images", "masks"):
        (small / kind).mkdir(parents=True)
        (small / kind / "01_1.png").write_bytes((labelled / kind / "01_1.png").read_bytes())
    result = json.loads(wsi_parse(cache, "models", "verify", "biomedparse", "--labelled", small, "--json").stdout)
    assert result["parameters"] == 340_360_952
    assert result["network"] == "as released"
    assert result["sha256"] == card["sha256"]
    assert result["labelled_fields"] == 4


@pytest.mark.parametrize("harm", ["missing", "extra", "shape", "truncated", "code"])
def test_a_full_file_that_is_wrong_is_refused(full_checkpoint: Path, tmp_path: Path, harm: str) -> None:
    bad = tmp_path / "biomedparse_v1.pt"
    if harm == "truncated":
        with full_checkpoint.open("rb") as source:
            bad.write_bytes(source.read(full_checkpoint.stat().st_size // 2))
    elif harm == "code":
        bad.write_bytes(pickle.dumps({"weight": Harmful(tmp_path / "ran")}))
    else:
        state = checkpoint("keys", everything=True)
        if harm == "missing":
            del state[SOME]
        elif harm == "extra":
            state["backbone.extra"] = torch.zeros(1)
        else:
            state[SOME] = torch.zeros(513)
        torch.save(state, bad)
    stderr = wsi_parse(tmp_path / "cache", "models", "get", "biomedparse", "--from", bad, check=1).stderr
    words = {"missing": f"1 missing: {SOME}", "extra": "1 unknown: backbone.extra", "shape": "(513,), not (512,)"}
    assert words.get(harm, "biomedparse_v1.pt") in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "ran").exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_loading_takes_the_parameters_once(full_file: Path) -> None:
    """Every page touched, the process holds less than 1.3 times the needed parameters more than before."""
    code = (
        "import sys, torch; from pathlib import Path; from wsi_parse.models.biomedparse.load import load;"
        "from wsi_parse.models.weights import Weights; from wsi_parse.compute.memory import MemorySampler, total_bytes;"
        "import psutil; weights = Weights.of_file(Path(sys.argv[1])); before = total_bytes(psutil.Process())\n"
        "with MemorySampler(0.02) as sampler:\n"
        "    network = load(weights, torch.device('cpu'))\n"
        "    loaded = total_bytes(psutil.Process())\n"
        "    total = sum(float(parameter.sum()) for parameter in network.parameters())\n"
        "    peak = max(sampler.peak_bytes, total_bytes(psutil.Process()))\n"
        "print(peak - before, loaded - before, peak)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(full_file)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    grown, loaded, peak = map(int, done.stdout.split())
    print(f"loaded: +{loaded / 1e6:.0f} MB; touched: +{grown / 1e6:.0f} MB; in all {peak / 1e6:.0f} MB")  # noqa: T201
    assert 0.9 * NEEDED_BYTES < grown < 1.3 * NEEDED_BYTES
    assert loaded < 0.5 * NEEDED_BYTES, "pages are to be read when they are used"


def test_a_real_slide_end_to_end(cache: Path, tmp_path: Path) -> None:
    path = shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    roi = square(tmp_path / "roi.geojson", 1030, 1030, 90)
    arguments = (
        "--prompt",
        "neoplastic cells",
        "--prompt",
        "glandular structure",
        "--roi",
        roi,
        "-o",
        tmp_path / "out",
    )
    wsi_parse(cache, path, *arguments)
    manifest = RunManifest.load(tmp_path / "out" / "CMU-1-Small-Region")
    assert manifest is not None
    assert manifest.state == "done"
    assert manifest.model["name"] == "biomedparse"
    assert manifest.model["licence"] == "CC-BY-NC-SA-4.0"
    assert [item["field_um"] for item in manifest.passes] == [64.0, 480.0]
    assert all(item["tiles"] >= 1 for item in manifest.passes)


def test_the_stitched_map_is_the_tiles_own_answer(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSI_PARSE_CACHE", str(cache))
    path = shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    roi = square(tmp_path / "roi.geojson", 1050, 1050, 4)
    settings = RunSettings.load(
        prompts=("neoplastic cells", "glandular structure"), slide={"roi": roi}, model={"name": "biomedparse"}
    )
    prepared = resolve_run(path, resolve(settings))
    with prepared.slide:
        plan = lay_out(prepared, prepared.tissue(), tmp_path / "out")
        model = BiomedParseModel(settings.model, prepared.weights)
        for index, item in enumerate(plan.passes):
            (block,) = item.selection.blocks()
            (place,) = item.selection.of_block(block)
            predict_task(plan.sealed, index, block)
            tile, channel = item.selection.grid.tile(*place), item.scale_pass.channels[0]
            image = as_a_model_sees_it(prepared.slide, tile.read, item.selection.grid.frame)
            alone = model.predict(image[None], item.scale_pass, plan.state)[channel.name][0]
            read = Box(tile.read.x // channel.stride, tile.read.y // channel.stride, 256, 256)
            values, covered = plan.pass_contexts[index].channel(channel.name, read)
            assert np.array_equal(values[covered], alone[covered])
            assert covered.any()
