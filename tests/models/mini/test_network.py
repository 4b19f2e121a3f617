"""The network and its file: what it says, that nothing of it is lost, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from wsi_parse.errors import ModelError, WeightsError
from wsi_parse.models.mini.facts import CLASS_STRIDE, CLASSES, EMBEDDED
from wsi_parse.models.mini.network import MiniNetwork, fuse
from wsi_parse.models.mini.postprocess import channels_of, relative_density
from wsi_parse.models.mini.stain_normalization import StainNormalization
from wsi_parse.models.mini.weights import load_network, save_network
from wsi_parse.tissue.samples import Sample

SMALL = (8, 8, 16, 16)


@pytest.fixture
def network() -> MiniNetwork:
    """A small one whose normalisation does something."""
    torch.manual_seed(0)
    network = MiniNetwork(SMALL)
    network.train()
    for _ in range(3):
        network(torch.rand(2, 3, 64, 64))
    return network.eval()


def test_shapes(network: MiniNetwork) -> None:
    answer = network(torch.rand(2, 3, 64, 96))
    assert answer.nucleus.shape == answer.distance.shape == (2, 64, 96)
    assert answer.classes.shape == (2, len(CLASSES), 64 // CLASS_STRIDE, 96 // CLASS_STRIDE)


def test_folding_the_normalisation_changes_nothing(network: MiniNetwork) -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(image)
        after = fuse(network)(image)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())


def test_what_is_saved_is_loaded_in_half_precision(network: MiniNetwork, tmp_path: Path) -> None:
    save_network(network, tmp_path / "w.safetensors")
    again = load_network(tmp_path / "w.safetensors")
    assert again.widths == SMALL
    assert not again.training
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(again.state_dict()[name], value.half().float())
    again.train()(torch.rand(1, 3, 32, 32))


def test_an_answer_moves_with_the_image() -> None:
    """Shifting an image by the deepest stride shifts the answer, away from the edges."""
    big = fuse(load_network(EMBEDDED))
    image = 2 * torch.rand(1, 3, 320, 320)
    with torch.inference_mode():
        whole, part = big(image), big(image[..., 16:, 16:])
    inside = slice(144, -144)  # deeper than a tile's overlap: what reaches farther is within the tolerance
    assert torch.allclose(whole.nucleus[:, 16:, 16:][:, inside, inside], part.nucleus[:, inside, inside], atol=2e-2)


def test_channels_are_bytes_and_classes_add_up(network: MiniNetwork) -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    with torch.inference_mode():
        given = channels_of(network, images, StainNormalization())
    assert set(given) == {"nucleus", "distance", *CLASSES}
    assert all(values.dtype == torch.uint8 for values in given.values())
    total = sum(given[name].int() for name in CLASSES)
    assert int((total - 255).abs().max()) <= len(CLASSES)


def test_numbers_that_are_none_are_an_error(network: MiniNetwork) -> None:
    network.shape.bias.data[:] = torch.nan
    with pytest.raises(ModelError, match="float32"), torch.inference_mode():
        channels_of(network, torch.zeros(1, 32, 32, 3, dtype=torch.uint8), StainNormalization())


class TestStyle:
    def stained(self, white: float, strength: float) -> np.ndarray:
        """Half white, half stained, with some structure."""
        density = np.random.default_rng(0).uniform(0.8, 1.2, (128, 128, 3)) * np.array([0.5, 0.7, 0.4]) * strength
        density[:, :64] = 0
        return np.rint(255 * white * np.exp(-density)).astype(np.uint8)

    @pytest.mark.parametrize("white", [0.7, 0.95])
    @pytest.mark.parametrize("strength", [0.5, 1.5])
    def test_light_and_staining_are_taken_out(self, white: float, strength: float) -> None:
        image, usual = self.stained(white, strength), self.stained(0.9, 1.0)
        one, other = (
            relative_density(torch.from_numpy(i[None]), StainNormalization.of([Sample.whole(i)]))
            for i in (image, usual)
        )
        assert (one - other).abs().mean() < 0.06
        assert one[..., 80:].mean() == pytest.approx(1.0, abs=0.05)
        assert one[..., :60].mean() == pytest.approx(0.0, abs=0.05)

    @pytest.mark.parametrize(
        "images", [[], [np.full((8, 8, 3), 200, np.uint8)], [np.full((128, 128, 3), 240, np.uint8)]]
    )
    def test_nothing_to_estimate_from_is_no_crash(self, images: list[np.ndarray]) -> None:
        assert (
            StainNormalization.of([Sample.whole(image) for image in images]).strength == StainNormalization().strength
        )


class TestFiles:
    def test_the_embedded_file_is_small_and_half_precision(self) -> None:
        assert EMBEDDED.stat().st_size <= 8e6
        assert {value.dtype for value in load_file(EMBEDDED).values()} == {torch.float16}

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"There is no file .*none\.safetensors"):
            load_network(tmp_path / "none.safetensors")

    def test_truncated(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        path.write_bytes(EMBEDDED.read_bytes()[:-1000])
        with pytest.raises(WeightsError, match="Cannot read"):
            load_network(path)

    def test_of_another_network(self, tmp_path: Path) -> None:
        save_file({"weight": torch.zeros(3)}, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match="does not contain weights of the embedded model"):
            load_network(tmp_path / "w.safetensors")

    def test_a_tensor_is_missing(self, network: MiniNetwork, tmp_path: Path) -> None:
        save_network(network, tmp_path / "w.safetensors")
        tensors = load_file(tmp_path / "w.safetensors")
        del tensors["class_head.bias"]
        save_file(tensors, tmp_path / "w.safetensors", {"widths": "8,8,16,16"})
        with pytest.raises(WeightsError, match=r"class_head\.bias"):
            load_network(tmp_path / "w.safetensors")

    def test_a_tensor_has_another_shape(self, network: MiniNetwork, tmp_path: Path) -> None:
        save_network(network, tmp_path / "w.safetensors")
        tensors = load_file(tmp_path / "w.safetensors")
        save_file(tensors, tmp_path / "w.safetensors", {"widths": "8,8,16,32"})
        with pytest.raises(WeightsError, match="does not contain weights"):
            load_network(tmp_path / "w.safetensors")
