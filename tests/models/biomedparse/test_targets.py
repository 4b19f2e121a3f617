"""Prompts become texts for the network at their trained scale; unusual prompts are noted."""

import pytest

from wsi_parse.errors import SettingsError, UnknownPromptError
from wsi_parse.models.biomedparse.segmenter import OUTPUT_PX, BiomedParseModel, read_px
from wsi_parse.models.biomedparse.targets import CELLS, GLANDS, KNOWN, targets_of
from wsi_parse.progress import Limitation
from wsi_parse.prompts import TARGETS, Prompt
from wsi_parse.settings import ModelSettings


def plan(*texts: str, **settings: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return BiomedParseModel.plan([Prompt.parse(text) for text in texts], ModelSettings.model_validate(settings))


def test_cells_and_glands_are_read_as_they_were_in_training() -> None:
    cells, glands = plan("neoplastic cells", "glands", "lymphocytes")
    assert (cells.field_um, cells.tile_px, cells.read_mpp) == (64.0, 256, 0.25)
    assert [channel.name for channel in cells.channels] == ["neoplastic cells", "inflammatory cells"]
    assert {channel.stride for channel in cells.channels} == {1}
    assert (glands.field_um, glands.tile_px, glands.read_mpp) == (480.0, 768, 0.625)
    assert [(channel.name, channel.stride) for channel in glands.channels] == [("glandular structure", 3)]
    assert not cells.notes + glands.notes


@pytest.mark.parametrize("field_um", [32.0, 64.0, 100.0, 128.0, 256.0, 480.0, 1000.0])
def test_a_field_of_ones_own_is_one_pass_answered_by_256_pixels(field_um: float) -> None:
    (only,) = plan("glands", "neoplastic cells", field_um=field_um)
    assert only.field_um == field_um
    assert {only.tile_px // channel.stride for channel in only.channels} == {OUTPUT_PX}
    assert only.tile_px <= 1024
    assert only.read_mpp == pytest.approx(field_um / only.tile_px)


def test_passes_of_one_run_have_names_of_their_own() -> None:
    """A name is a folder: two passes of one name would take each other's objects."""
    passes = plan("glands", "neoplastic cells")
    assert len({item.name for item in passes}) == len(passes) == 2


@pytest.mark.parametrize("field_um", [8.0, 15.0, 5000.0])
def test_fields_that_make_no_sense_are_refused(field_um: float) -> None:
    with pytest.raises(SettingsError, match="16 to 4096 µm"):
        plan("neoplastic cells", field_um=field_um)


def test_fields_too_coarse_for_cells_are_noted() -> None:
    assert "2.0 µm" in plan("neoplastic cells", field_um=512.0)[0].notes[0]
    assert not plan("glands", field_um=512.0)[0].notes
    assert not plan("neoplastic cells", field_um=256.0)[0].notes


def test_words_that_would_not_be_read_to_their_end_are_refused_before_a_run() -> None:
    with pytest.raises(UnknownPromptError, match="tokens"):
        plan("cells that " * 60)


def test_tiles_are_read_no_coarser_than_trained_unless_the_input_is_full() -> None:
    for mpp in (0.25, 0.625):
        for field_um in range(20, 1200, 7):
            side = read_px(field_um, mpp)
            assert side == 1024 or field_um / side <= mpp * 1.02
            assert side == 256 or field_um / (side - 256) > mpp * 1.02


@pytest.mark.parametrize(
    ("text", "organ", "expected"),
    [
        ("Tumour  cells", None, "neoplastic cells"),
        ("lymphocyte", "Breast", "inflammatory cells in breast pathology"),
        ("gland", "colorectal", "glandular structure in colon pathology"),
        ("neoplastic cells in liver pathology", "breast", "neoplastic cells in liver pathology"),
        ("Mitotic Figures", "breast", "mitotic figures"),
        ("tumor cell", "breast", "neoplastic cells in breast pathology"),
        ("neoplastic cells.", None, "neoplastic cells"),
        ("tumours in breast", None, "neoplastic cells in breast pathology"),
        ("holes in fat", None, "holes in fat"),
    ],
)
def test_words_are_those_of_the_training(text: str, organ: str | None, expected: str) -> None:
    assert plan(text, organ=organ)[0].recipes[0].model_prompt == expected


def test_free_text_is_taken_with_a_warning_that_names_the_known() -> None:
    (only,) = plan("blue dots")
    assert only.recipes[0].prompt.kind == "region"
    assert "blue dots" in only.notes[0]
    assert all(name in only.notes[0] for name in KNOWN)
    (cells,) = plan("plasma cells")
    assert (cells.field_um, cells.recipes[0].prompt.kind) == (64.0, "cell")
    assert "fields of 64 µm" in cells.notes[0]


def test_what_the_model_card_does_not_list_is_noted() -> None:
    assert "The organ 'lung' is not in the list" in plan("neoplastic cells", organ="lung")[0].notes[0]
    mistyped = Limitation.of(plan("neoplastic cells", organ="brest")[0].notes[0], "biomedparse")
    assert mistyped.first_sentence.startswith(
        "The organ 'brest' is not in the list of BiomedParse (did you mean 'breast'?)"
    )
    assert "epithelial cells" in plan("neoplastic cells", organ="testis")[0].notes[0]
    assert not plan("neoplastic cells", organ="renal")[0].notes


def test_all_means_all_known_or_those_of_the_organ() -> None:
    assert BiomedParseModel.targets(ModelSettings()) == KNOWN == (*CELLS, *GLANDS)
    assert targets_of("colon") == ("glandular structure", "neoplastic cells")
    assert targets_of("Ovary") == ("epithelial cells", "neoplastic cells")
    with pytest.raises(SettingsError, match="bladder"):
        targets_of("lung")


def test_known_targets_are_those_of_the_package() -> None:
    names = {target.name: target.kind for target in TARGETS}
    assert {names[name] for name in CELLS} == {"cell"}
    assert {names[name] for name in GLANDS} == {"region"}
