"""The model as the pipeline meets it: the contract, what is counted, what is refused."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.biomedparse.test_existence import published
from wsi_parse.errors import ModelError, SettingsError, UsageError, WeightsError
from wsi_parse.geometry import Box
from wsi_parse.models.biomedparse.segmenter import BiomedParseModel
from wsi_parse.models.biomedparse.targets import CELLS
from wsi_parse.models.contract import Segmenter
from wsi_parse.models.device import choose_device, choose_precision
from wsi_parse.models.mini.facts import CLASS_OF
from wsi_parse.models.scale_pass import ScalePass, with_exclusive_classes
from wsi_parse.models.weights import Weights, installed, weights_path, write_card
from wsi_parse.progress import Hint, Limitation
from wsi_parse.prompts import Prompt
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import ModelSettings, RunSettings
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.testing.segmenters import SegmenterTests


def made(file: Path, **settings: object) -> BiomedParseModel:
    chosen = ModelSettings.model_validate({"weights": file, "device": "cpu", **settings})
    return BiomedParseModel(chosen, BiomedParseModel.find_weights(chosen))


def pass_of(*texts: str, **settings: object) -> ScalePass:
    return BiomedParseModel.plan([Prompt.parse(text) for text in texts], ModelSettings.model_validate(settings))[0]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    slide = SyntheticSlide(800, 600, seed=4)
    return np.stack([slide.pixels(Box(x, 120, 256, 256)) for x in (64, 300)])


class TestBiomedParse(SegmenterTests):
    @pytest.fixture
    def model(self, tiny_file: Path) -> Segmenter:
        return made(tiny_file)

    @pytest.fixture
    def scale_pass(self) -> ScalePass:
        return pass_of("neoplastic cells", "inflammatory cells")

    @pytest.fixture
    def state(self, model: BiomedParseModel) -> object:
        return model.runs_on


def test_the_image_is_looked_at_once_and_words_are_read_once(
    tiny_file: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsi_parse.models.biomedparse.image_encoder import Vision
    from wsi_parse.models.biomedparse.pixel_decoder import PixelDecoder
    from wsi_parse.models.biomedparse.text_encoder import Text

    counted: Counter[str] = Counter()
    for part in (Vision, PixelDecoder, Text):

        def counting(self, argument, part=part, forward=part.forward):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            counted[part.__name__] += len(argument) if part is Vision else 1
            return forward(self, argument)

        monkeypatch.setattr(part, "forward", counting)
    model, scale_pass = made(tiny_file), pass_of(*CELLS)
    for _ in range(3):
        given = model.predict(images, scale_pass, model.runs_on)
    assert len(given) == 4
    assert counted == {"Vision": 3 * len(images), "PixelDecoder": 3, "Text": 1}


def test_nothing_is_enlarged_to_the_input(tiny_file: Path, images: np.ndarray) -> None:
    model = made(tiny_file)
    given = model.predict(images, pass_of("neoplastic cells"), model.runs_on)["neoplastic cells"]
    assert given.shape == (2, 256, 256)
    assert given.dtype == np.uint8


def test_numbers_that_are_none_are_an_error(tiny_file: Path, images: np.ndarray) -> None:
    model = made(tiny_file)
    model.network.grounding.mask_embed[4].bias = torch.nn.Parameter(torch.full((64,), torch.nan))
    with pytest.raises(ModelError, match="returned NaN or infinity"):
        model.predict(images[:1], pass_of("neoplastic cells"), model.runs_on)


def test_precision_is_chosen_once_and_kept_to(tiny_file: Path, images: np.ndarray) -> None:
    exact, coarse = made(tiny_file, precision="float32"), made(tiny_file, precision="bfloat16")
    scale_pass = pass_of("neoplastic cells")
    assert made(tiny_file).runs_on["precision"] == choose_precision("auto", torch.device("cpu"))
    assert exact.runs_on["precision"] == "float32"
    assert coarse.runs_on["precision"] == "bfloat16"
    one, other = (
        model.predict(images[:1], scale_pass, model.runs_on)[scale_pass.channels[0].name] for model in (exact, coarse)
    )
    assert not np.array_equal(one, other)
    # The state rules, wherever it is obeyed.
    assert np.array_equal(exact.predict(images[:1], scale_pass, coarse.runs_on)[scale_pass.channels[0].name], other)


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name, words in (("nonsense", "no device named"), ("meta", "not supported"), ("cuda:99", "does not exist")):
        with pytest.raises(SettingsError, match=words):
            choose_device(name)


def test_weights_that_changed_since_the_plan_are_refused(tiny_file: Path, tmp_path: Path, images: np.ndarray) -> None:
    path = Path(shutil.copy(tiny_file, tmp_path / "w.safetensors"))
    model = made(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="have changed since the run was planned"):
        model.predict(images[:1], pass_of("neoplastic cells"), model.runs_on)


def test_existence_is_noted_of_each_tile_and_summed_up(tiny_file: Path, tmp_path: Path, images: np.ndarray) -> None:
    path = Path(shutil.copy(tiny_file, tmp_path / "w.safetensors"))
    published(tmp_path / "target_dist.json")
    model, scale_pass = made(path), pass_of("neoplastic cells", "inflammatory cells")
    given = model.predict(images, scale_pass, model.runs_on)
    noted = model.observe(images, given, scale_pass)
    assert noted.keys() == {"neoplastic cells"}
    assert noted["neoplastic cells"].shape == (2, 5)
    assert model.summarise(noted, scale_pass)["neoplastic cells"]["tiles"] == 2
    assert made(tiny_file).observe(images, given, scale_pass) == {}


def test_one_class_lets_cell_prompts_compete_and_leaves_regions() -> None:
    cells, glands = BiomedParseModel.plan(
        [Prompt.parse(text) for text in ("neoplastic cells", "lymphocytes", "glands")], ModelSettings()
    )
    settled = with_exclusive_classes(cells)
    assert {recipe.competing for recipe in settled.recipes} == {("neoplastic cells", "inflammatory cells")}
    assert [recipe.class_channel for recipe in settled.recipes] == ["neoplastic cells", "inflammatory cells"]
    assert with_exclusive_classes(glands) == glands
    assert with_exclusive_classes(pass_of("neoplastic cells")) == pass_of("neoplastic cells")


def test_a_gpu_takes_batches_that_its_memory_holds_and_two_blocks_at_once(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsi_parse.models import device

    for memory_gb, batch in ((80, 8), (24, 8), (16, 4), (4, 1)):
        model = made(tiny_file)
        model.__dict__["device"] = torch.device("cuda")
        monkeypatch.setattr(device, "memory_bytes", lambda _, memory_gb=memory_gb: memory_gb << 30)
        assert (model.batch, model.at_once) == (batch, 2)
    assert (made(tiny_file).batch, made(tiny_file).at_once) == (1, 1)


def test_threads_are_part_of_what_the_numbers_depend_on(tiny_file: Path, images: np.ndarray) -> None:
    before = torch.get_num_threads()
    try:
        one = made(tiny_file, threads=1)
        assert one.runs_on["threads"] == 1
        one.predict(images[:1], pass_of("neoplastic cells"), one.runs_on)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_weights_that_are_not_converted_are_refused_before_a_run(tiny_checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match="--from FILE"):
        BiomedParseModel.find_weights(ModelSettings(weights=tiny_checkpoint))


def test_what_free_text_asks_for_can_be_said() -> None:
    for kind in ("cell", "region"):
        settings = RunSettings.load(
            prompts=("purple haze", "glands"), model={"name": "biomedparse"}, objects={"free_text_kind": kind}
        )
        assert [prompt.kind for prompt in resolve(settings, require_weights=False).prompts] == [kind, "region"]


def test_the_same_target_at_two_sites_is_refused() -> None:
    texts = ("neoplastic cells in liver pathology", "tumour cells in breast")
    with pytest.raises(UsageError, match="two organs"):
        resolve(RunSettings.load(prompts=texts, model={"name": "biomedparse"}))


@pytest.fixture
def with_biomedparse(tiny_file: Path) -> Weights:
    """The tiny twin where the installed weights would be."""
    path = weights_path("biomedparse")
    path.parent.mkdir(parents=True)
    shutil.copy(tiny_file, path)
    return write_card("biomedparse", {"revision": "abc", "licence": "CC-BY-NC-SA-4.0"})


def chosen(*texts: str) -> tuple[str, tuple[str, ...]]:
    request = resolve(RunSettings.load(prompts=texts))
    # What the model says of every result is the subject of its own tests.
    return request.settings.model.name, tuple(note for note in request.notes if not isinstance(note, Limitation))


@pytest.mark.usefixtures("with_biomedparse")
def test_the_best_installed_model_that_knows_the_words_is_taken() -> None:
    note = ("Using biomedparse.",)
    assert chosen("neoplastic cells", "glandular structures in colon") == ("biomedparse", note)
    assert chosen("nuclei") == ("mini", ("Using mini.",))
    assert chosen("purple haze") == ("biomedparse", note)
    same = "'immune cells' is understood as 'inflammatory cells', which means the same."
    assert chosen("immune cells") == ("biomedparse", (*note, same))
    name, (_, wider) = chosen("lymphocytes")
    assert name == "biomedparse"
    assert wider.startswith("'lymphocytes' is understood as 'inflammatory cells', which is wider than what you asked")
    _, (_, mistyped, *_) = chosen("neoplasic cells")
    assert mistyped.endswith("the model gets these words as they are. Did you mean 'neoplastic cells'?")
    assert chosen("nuclei", "glandular structure") == ("biomedparse", note)


@pytest.mark.usefixtures("with_biomedparse")
def test_all_is_what_the_model_and_the_organ_know_and_gives_each_cell_one_class() -> None:
    request = resolve(RunSettings.load(prompts=("all",), model={"organ": "colon"}))
    settings, prompts, notes = request.settings, request.prompts, request.notes
    assert "left out: epithelial cells, connective tissue cells, inflammatory cells" in notes[1]
    assert [prompt.name for prompt in prompts] == ["glandular structure", "neoplastic cells"]
    assert settings.objects.exclusive_classes
    assert settings.prompts == ("glandular structure", "neoplastic cells")
    everything = resolve(RunSettings.load(prompts=("all", "mitoses"))).prompts
    assert [prompt.name for prompt in everything][-1] == "mitoses"
    assert len(everything) == 6


def test_without_weights_all_is_what_the_embedded_model_knows() -> None:
    request = resolve(RunSettings.load(prompts=("all",)))
    settings, prompts, notes = request.settings, request.prompts, request.notes
    assert settings.model.name == "mini"
    assert [prompt.name for prompt in prompts] == ["nuclei", *CLASS_OF]
    assert notes[0] == "Using mini."
    assert "wsi-parse models get biomedparse" in notes[1]
    assert isinstance(notes[1], Hint)


def test_installed_weights_are_whole_or_not_installed(with_biomedparse: Weights) -> None:
    assert installed("biomedparse") == with_biomedparse
    with_biomedparse.check()
    with_biomedparse.path.write_bytes(with_biomedparse.path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="incomplete"):
        installed("biomedparse")
    with_biomedparse.path.unlink()
    with pytest.raises(WeightsError, match="damaged"):
        installed("biomedparse")
    card = with_biomedparse.folder / "weights.json"
    card.write_text(json.dumps({"sha256": "x"}))
    with pytest.raises(WeightsError, match="damaged"):
        installed("biomedparse")
    card.unlink()
    with pytest.raises(WeightsError, match="models get biomedparse"):
        installed("biomedparse")
