"""A checkpoint becomes weights only if it is the network, name by name; each way a file can be wrong is refused."""

import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.models.biomedparse.reference import checkpoint, keys, sizes_of
from wsi_parse.errors import WeightsError
from wsi_parse.models.biomedparse.convert import convert, read_converted
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.biomedparse.network_sizes import RELEASED
from wsi_parse.models.biomedparse.tensor_names import UNUSED, published_shapes, to_network_names

SOME = "sem_seg_head.predictor.decoder_norm.weight"


def test_the_released_sizes_expect_the_published_tensors() -> None:
    used = {key: tuple(facts["shape"]) for key, facts in keys("keys").items() if facts["used"]}
    assert published_shapes(RELEASED) == used
    assert sum(torch.Size(shape).numel() for shape in used.values()) == pytest.approx(340e6, rel=0.01)


@pytest.mark.parametrize("name", ["keys", "keys_tiny"])
def test_what_is_dropped_is_what_is_unused(name: str) -> None:
    assert {key for key in keys(name) if UNUSED.fullmatch(key)} == {k for k, f in keys(name).items() if not f["used"]}


def test_every_parameter_of_ours_has_one_published_tensor() -> None:
    sizes = sizes_of("keys_tiny")
    with torch.device("meta"):
        network = BiomedParse(sizes)
        published = {name: torch.empty(shape) for name, shape in published_shapes(sizes).items()}
    placed = to_network_names(published)
    expected = network.state_dict()
    assert placed.keys() == expected.keys()
    assert all(placed[name].shape == expected[name].shape for name in placed)


def test_conversion_keeps_every_number_and_reading_maps_them(tiny_file: Path) -> None:
    sizes, tensors = read_converted(tiny_file)
    assert sizes == sizes_of("keys_tiny")
    made = checkpoint("keys_tiny", everything=False)
    assert tensors.keys() == made.keys()
    assert all(torch.equal(tensors[name], value) for name, value in made.items())


Spoil = Callable[[dict[str, torch.Tensor]], object]


def _removed(state: dict[str, torch.Tensor]) -> None:
    del state[SOME]


def _added(state: dict[str, torch.Tensor]) -> None:
    state["backbone.extra.weight"] = torch.zeros(3)


def _reshaped(state: dict[str, torch.Tensor]) -> None:
    state[SOME] = torch.zeros(65)


def _halved(state: dict[str, torch.Tensor]) -> None:
    state[SOME] = state[SOME].half()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_removed, rf"1 missing: {SOME}"),
        (_added, r"1 unknown: backbone\.extra\.weight"),
        (_reshaped, rf"1 of another shape: {SOME} \(65,\), not \(64,\)"),
        (_halved, rf"1 not float32: {SOME}"),
        (dict.clear, "missing: backbone"),
    ],
)
def test_another_network_is_refused_and_said_how_it_differs(tmp_path: Path, spoil: Spoil, words: str) -> None:
    state = checkpoint("keys_tiny", everything=True)
    spoil(state)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=words):
        convert(tmp_path / "other.pt", tmp_path / "new.safetensors", sizes_of("keys_tiny"))
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]


def test_the_tiny_twin_is_not_the_released_network(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing.* and .* more"):
        convert(tiny_checkpoint, tmp_path / "new.safetensors", RELEASED)


class Harmful:
    """What a pickle can do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:
    torch.save({"weight": Harmful(tmp_path / "ran")}, tmp_path / "bad.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"weight": Harmful(tmp_path / "ran")}))
    for name in ("bad.pt", "plain.pt"):
        with pytest.raises(WeightsError, match="more than tensors"):
            convert(tmp_path / name, tmp_path / "new.safetensors", RELEASED)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(tiny_checkpoint: Path, tmp_path: Path, share: float) -> None:
    data = tiny_checkpoint.read_bytes()
    (tmp_path / "torn.pt").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"torn\.pt"):
        convert(tmp_path / "torn.pt", tmp_path / "new.safetensors", sizes_of("keys_tiny"))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_checkpoint_are_refused(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "odd.pt"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"odd\.pt"):
            convert(path, Path(folder) / "new.safetensors", RELEASED)


def test_tensors_that_share_memory_or_lie_crosswise_are_written_out(tmp_path: Path) -> None:
    state = checkpoint("keys_tiny", everything=False)
    name = "sem_seg_head.predictor.class_embed"
    expected = state[name].clone()
    state[name] = expected.T.contiguous().T
    state["sem_seg_head.predictor.query_embed.weight"] = state["sem_seg_head.predictor.query_feat.weight"]
    torch.save(state, tmp_path / "tied.pt")
    convert(tmp_path / "tied.pt", tmp_path / "new.safetensors", sizes_of("keys_tiny"))
    tensors = read_converted(tmp_path / "new.safetensors")[1]
    assert torch.equal(tensors[name], expected)
    assert torch.equal(*(tensors[f"sem_seg_head.predictor.query_{part}.weight"] for part in ("embed", "feat")))


def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from wsi_parse.models.biomedparse.convert import convert; from wsi_parse.errors import StoreError\n"
        "from tests.models.biomedparse.reference import sizes_of\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "try: convert(Path(sys.argv[1]), Path(sys.argv[2]), sizes_of('keys_tiny'))\n"
        "except StoreError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tiny_checkpoint), str(tmp_path / "new.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "WSI_PARSE_CACHE" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {"a": {"b": torch.zeros(1)}}])
def test_what_is_no_set_of_tensors_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match="not a plain set of tensors"):
        convert(tmp_path / "odd.pt", tmp_path / "new.safetensors", RELEASED)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Check the path"):
        convert(tmp_path / "none.pt", tmp_path / "new.safetensors", RELEASED)


def test_a_checkpoint_from_before_torch_1_6_is_taken(tmp_path: Path) -> None:
    torch.save(checkpoint("keys_tiny", everything=True), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    convert(tmp_path / "old.pt", tmp_path / "new.safetensors", sizes_of("keys_tiny"))
    assert read_converted(tmp_path / "new.safetensors")[0] == sizes_of("keys_tiny")


def test_converted_weights_that_are_damaged_are_refused(tiny_file: Path, tmp_path: Path) -> None:
    data = tiny_file.read_bytes()
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data[:-100])
    with pytest.raises(WeightsError, match=r"converted weights|damaged"):
        read_converted(path)
    path.write_bytes(b"PK not at all")
    with pytest.raises(WeightsError, match="--from FILE"):
        read_converted(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="does not state the sizes"):
        read_converted(path)
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    sizes = json.loads(header["__metadata__"]["sizes"])
    header["__metadata__"]["sizes"] = json.dumps({**sizes, "queries": 18})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(WeightsError, match=r"query_embed.*not \(18, 64\)"):
        read_converted(path)
