"""Whole runs with the embedded model, as a user starts them: real slides, no network, no weights to get."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from tests.shared import shared_data_root
from wsi_parse.errors import StageError, UsageError, WsiParseError
from wsi_parse.models.mini.card import figures
from wsi_parse.models.mini.confidence import embedded_confidence
from wsi_parse.models.mini.facts import EMBEDDED, LIMITATION, NORMAL_TISSUE
from wsi_parse.models.weights import Weights
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

pytestmark = pytest.mark.whole

# What a terminal shows of the caution: its first sentence, and where the others are.
SHORT_LIMITATION = f"{NORMAL_TISSUE}. Before you rely on the result: wsi-parse models mini"
CLASS_PROMPTS = ("neoplastic cells", "epithelial cells", "inflammatory cells", "connective tissue cells")


@pytest.fixture(scope="module", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is installed, and nothing was said today."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSI_PARSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def wsi_parse(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command where no name can be resolved and nothing is installed."""
    command = [sys.executable, "-m", "wsi_parse.cli.main", *map(str, arguments)]
    without = {**os.environ, "HF_HUB_OFFLINE": "1", "https_proxy": "http://localhost:9"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=without)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def cmu1() -> Path:
    return shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def missions_line(cmu1: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the mission's own line prints, and where its results are."""
    out = tmp_path_factory.mktemp("line")
    done = wsi_parse(cmu1, "--prompt", "neoplastic cells", "-o", out)
    return " ".join(done.stderr.split()), out / cmu1.stem


def features(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "annotations.geojson").read_text(encoding="utf-8"))["features"]


class TestMissionsLine:
    def test_it_says_which_model_and_how_to_get_the_other(self, missions_line: tuple[str, Path]) -> None:
        words, folder = missions_line
        assert words.count("Using mini.") == 1
        assert "wsi-parse models get biomedparse" in words
        model = RunManifest.load(folder).model
        assert (model["name"], model["weights_sha256"]) == ("mini", Weights.of_file(EMBEDDED).sha256)

    def test_the_caution_is_in_the_terminal_the_manifest_and_every_file(self, missions_line: tuple[str, Path]) -> None:
        words, folder = missions_line
        assert words.count(SHORT_LIMITATION) == 1
        assert LIMITATION not in words
        (limitation,) = RunManifest.load(folder).limitations
        assert LIMITATION in limitation
        assert limitation in RunManifest.load(folder).notes
        assert limitation in json.loads((folder / "annotations.geojson").read_text())["wsi_parse"]["limitations"]
        provenance = pq.read_schema(folder / "objects.parquet").metadata[b"wsi_parse"]
        assert limitation in json.loads(provenance)["limitations"]

    def test_a_clean_slide_is_questioned_for_what_is_asked_alone(self, missions_line: tuple[str, Path]) -> None:
        """No organ is named, and on skin without tumour most are unsure; the slide itself is like the training."""
        words, folder = missions_line
        codes = [caution["code"] for caution in RunManifest.load(folder).cautions]
        assert codes == ["normal-breast", "mostly-unsure"]
        assert words.count("Nuclei of normal breast ducts are like neoplastic ones to mini") == 1

    def test_the_caution_is_told_again_of_a_result_that_was_there(
        self, missions_line: tuple[str, Path], cmu1: Path
    ) -> None:
        again = wsi_parse(cmu1, "--prompt", "neoplastic cells", "-o", missions_line[1].parent)
        words = " ".join(again.stderr.split())
        assert "already done" in words
        assert words.count(SHORT_LIMITATION) == 1
        assert "wsi-parse models get biomedparse" not in words, "said once a day"

    def test_the_class_confidence_is_a_measurement_and_decides_who_is_unsure(
        self, missions_line: tuple[str, Path]
    ) -> None:
        _, folder = missions_line
        found = features(folder)
        names = Counter(feature["properties"]["classification"]["name"] for feature in found)
        assert set(names) <= {"Tumor", "Tumor: Unsure"}
        line = embedded_confidence().line("neoplastic", None)
        assert RunManifest.load(folder).passes[0]["sure_from"] == {"neoplastic cells": line}
        for feature in found:
            unsure = feature["properties"]["classification"]["name"] == "Tumor: Unsure"
            assert (feature["properties"]["measurements"]["class_probability"] < line + 1e-4) >= unsure
            assert (feature["properties"]["measurements"]["class_probability"] >= line - 1e-4) >= (not unsure)
        manifest = RunManifest.load(folder)
        assert manifest.counts == {"neoplastic cells": len(found)}
        assert manifest.unsure.get("neoplastic cells", 0) == names["Tumor: Unsure"]
        classes = pq.read_table(folder / "objects.parquet")["class_name"].to_pylist()
        assert Counter(classes) == names


@pytest.fixture(scope="module")
def roi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("roi") / "roi.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(600, 1200, 1200, 1800))))
    return path


def run(slide: Path, folder: Path, roi: Path, *prompts: str, **model: object) -> RunManifest:
    settings = RunSettings.load(
        None,
        ["export.overlay_px=0", "export.report=false"],
        prompts=prompts,
        slide={"roi": roi},
        model={"name": "mini", **model},
    )
    return run_slide(slide, folder, settings)


class TestPrompts:
    def test_classes_share_the_nuclei_among_them(self, cmu1: Path, roi: Path, tmp_path: Path) -> None:
        """No nucleus answers twice, none is cut: the classes' objects are nuclei, one for one."""
        nuclei = run(cmu1, tmp_path / "nuclei", roi, "nuclei")
        classes = run(cmu1, tmp_path / "classes", roi, *CLASS_PROMPTS)
        everything = run(cmu1, tmp_path / "all", roi, "nuclei", *CLASS_PROMPTS)
        whole = {shapely.from_geojson(json.dumps(f["geometry"])).wkb for f in features(tmp_path / "nuclei")}
        of_class = [shapely.from_geojson(json.dumps(f["geometry"])).wkb for f in features(tmp_path / "classes")]
        assert len(of_class) == len(set(of_class)) > 30
        assert set(of_class) <= whole
        assert sum(everything.counts.values()) == sum(nuclei.counts.values()) == len(whole)
        assert {name: everything.counts[name] for name in CLASS_PROMPTS} == classes.counts

    def test_another_threshold_for_unsure(self, cmu1: Path, roi: Path, tmp_path: Path) -> None:
        counts = []
        for limit in (0.0, 1.0):
            settings = RunSettings.load(
                None,
                ["export.overlay_px=0", "export.report=false", f"objects.min_class_probability={limit}"],
                prompts=CLASS_PROMPTS,
                slide={"roi": roi},
                model={"name": "mini"},
            )
            manifest = run_slide(cmu1, tmp_path / str(limit), settings)
            counts.append((sum(manifest.unsure.values()), sum(manifest.counts.values())))
        assert counts[0][0] == 0
        assert counts[1][0] > 0.9 * counts[1][1]

    def test_all_asks_for_every_class(self, cmu1: Path, tmp_path: Path) -> None:
        done = wsi_parse(cmu1, "-p", "all", "--dry-run", "-o", tmp_path)
        for name in CLASS_PROMPTS:
            assert name in done.stderr

    def test_a_prompt_outside_the_set(self, cmu1: Path, tmp_path: Path) -> None:
        done = wsi_parse(cmu1, "-p", "mitoses", "--model", "mini", "-o", tmp_path, code=2)
        words = " ".join(done.stderr.split())
        assert "neoplastic cells, epithelial cells, inflammatory cells, connective tissue cells" in words
        assert "wsi-parse models get biomedparse" in words

    def test_without_a_pixel_size_it_is_refused(self, tmp_path: Path) -> None:
        slide = shared_data_root() / "slides" / "aperio" / "tcga-cr-7395-01a-01-ts1.svs"
        done = wsi_parse(slide, "-p", "neoplastic cells", "-o", tmp_path, code=1)
        assert "--mpp" in done.stderr

    @pytest.mark.parametrize(("mpp", "warned"), [(0.5, False), (2.0, True)])
    def test_a_slide_that_is_too_coarse_causes_a_warning(self, cmu1: Path, mpp: float, warned: bool) -> None:
        settings = RunSettings.load(
            prompts=("nuclei",), slide={"mpp": mpp, "override_mpp": True}, model={"name": "mini"}
        )
        with (prepared := resolve_run(cmu1, resolve(settings))).slide:
            texts = [caution.text for caution in prepared.cautions]
            assert any("is 2 µm wide, but mini reads pixels of 0.5 µm" in text for text in texts) == warned


class TestResults:
    def test_blocks_threads_and_processes_change_nothing(self, cmu1: Path, roi: Path, tmp_path: Path) -> None:
        ways = [("tiles.block=1",), ("tiles.block=4",), ("compute.workers=2", "tiles.block=1")]
        given = []
        for number, way in enumerate(ways):
            settings = RunSettings.load(
                None,
                ["export.overlay_px=0", "export.report=false", "objects.chunk_px=256", *way],
                prompts=("neoplastic cells", "nuclei"),
                slide={"roi": roi},
                model={"name": "mini", "threads": 1, "field_um": 128.0},
            )
            given.append(run_slide(cmu1, tmp_path / str(number), settings).outputs["annotations.geojson"])
        assert given[0] == given[1] == given[2]

    def test_weights_that_change_during_a_run_are_noticed(self, cmu1: Path, roi: Path, tmp_path: Path) -> None:
        from wsi_parse.models.mini.segmenter import MiniModel

        path = tmp_path / "w.safetensors"
        path.write_bytes(EMBEDDED.read_bytes())
        settings = RunSettings.load(prompts=("nuclei",), model={"name": "mini", "weights": path}).model
        model = MiniModel(settings, MiniModel.find_weights(settings))
        path.write_bytes(EMBEDDED.read_bytes()[:-2] + b"\0\0")
        (scale_pass,) = MiniModel.plan([], settings)
        with pytest.raises(WsiParseError, match="have changed since the run was planned"):
            model.warm_up(scale_pass, {})

    def test_weights_that_cannot_be_read_fail_before_anything_is_written(
        self, cmu1: Path, roi: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "w.safetensors"
        path.write_bytes(b"no weights")
        with pytest.raises((UsageError, StageError, WsiParseError), match=r"w\.safetensors"):
            run(cmu1, tmp_path / "out", roi, "nuclei", weights=path)


class TestCard:
    def test_the_figures_are_of_the_embedded_weights(self) -> None:
        assert figures()["weights_sha256"] == Weights.of_file(EMBEDDED).sha256

    def test_show(self) -> None:
        shown_card = " ".join(wsi_parse("models", "show", "mini").stdout.split())
        dice = figures()["sets"]["consep"]["dice"][0]
        normal = "breast ducts and skin"
        for words in ("colon", "16 patients", f"Dice {dice:.2f}", normal, "Unsure", "Apache-2.0", "research use"):
            assert words in shown_card
        shown = json.loads(wsi_parse("models", "show", "mini", "--json").stdout)
        assert shown["weights_sha256"] == figures()["weights_sha256"]
        assert "stain" in wsi_parse("models", "show", "stain").stdout

    def test_the_tables_of_the_card_are_these_figures(self) -> None:
        from workflows.train_mini.tables import class_table, danger_table, nuclei_table

        card = EMBEDDED.with_name("CARD.md").read_text(encoding="utf-8")
        for table in (nuclei_table, class_table, danger_table):
            assert table(figures()) in card


def test_a_nucleus_is_outlined_within_its_probability(cmu1: Path, roi: Path, tmp_path: Path) -> None:
    """Splitting by the distance map loses no area that is not a fragment."""
    run(cmu1, tmp_path, roi, "nuclei")
    areas = [f["properties"]["measurements"]["area_um2"] for f in features(tmp_path)]
    assert np.min(areas) >= 8 * 0.97
    assert 12 < np.median(areas) < 60
