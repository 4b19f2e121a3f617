"""Methods, citations and the command to repeat: made from the manifest, and true."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import GLANDS, NUCLEI, manifest_of, slide_of, tissue_of
from wsi_parse.models.contract import ModelSpec
from wsi_parse.registry import MODELS
from wsi_parse.report.citations import citations, of_spec
from wsi_parse.report.command import repeating_command
from wsi_parse.report.methods import methods_paragraph
from wsi_parse.run.privacy import redacted_settings
from wsi_parse.settings import RunSettings


def manifest(**more: Any) -> dict[str, Any]:
    slide = slide_of()
    return manifest_of(slide, [NUCLEI, GLANDS], tissue_of(slide), **more)


def test_the_methods_say_what_was_done() -> None:
    passes = [{"name": "p", "prompts": ["nuclei"], "tiles": 1234, "field_um": 256.0, "read_mpp": 0.5}]
    passes[0] |= {"object_mpp": 0.5, "overlap_px": 64}
    text = methods_paragraph(
        manifest(passes=passes, counts={"nuclei": 1500, "glandular structure": 0}, per_mm2={"nuclei": 321.4})
    )
    assert text.startswith("The whole-slide image (1,600 × 1,200 pixels of 0.5 µm; pixel size: ")
    for part in ("1,234 tiles of 256 µm", "“nuclei” and “glands”", "1,500 nuclei (321 per mm²)", "wsi-parse 0.1.0"):
        assert part in text
    assert "\n" not in text


def test_what_to_cite_depends_on_the_run() -> None:
    given = manifest()
    given["slide"]["reader"] = "openslide"
    keys = [one.bibtex.partition("{")[2].partition(",")[0] for one in citations(given)]
    assert keys == ["wsi_parse", "goode2013openslide", "bankhead2017qupath"]
    given["slide"]["reader"] = "array"
    model = of_spec(ModelSpec("m", "", (), reference="A 2020", bibtex="@misc{a2020,\n}"))
    assert [one.reference for one in citations(given, model)][1] == "A 2020"
    assert of_spec(ModelSpec("m", "", ())) is None


@pytest.mark.parametrize("name", MODELS.names())
def test_entries_of_bibtex_are_closed(name: str) -> None:
    for one in citations(manifest(), of_spec(MODELS.get(name).spec)):
        assert one.bibtex.startswith("@")
        assert one.bibtex.count("{") == one.bibtex.count("}") > 3
        assert one.bibtex.endswith("\n}")


def test_the_command_gives_the_same_settings_again() -> None:
    from wsi_parse.cli.request import settings_of

    settings = RunSettings(
        prompts=("nuclei", 'blue "dots"; rm -rf'),
        model={"name": "stain", "field_um": 128.0, "precision": "float32"},
        slide={"mpp": 0.5, "override_mpp": True, "roi": Path("/secret/roi 1.geojson")},
        objects={"threshold": 0.4, "stains": True, "exclusive_classes": True},
        export={"formats": ("geojson", "csv"), "classes": {"nuclei": {"colour": (1, 2, 3), "name": "Kern"}}},
        compute={"workers": 3},
    )
    slide = slide_of()
    given = manifest_of(slide, [NUCLEI, GLANDS], tissue_of(slide)) | {"settings": redacted_settings(settings)}
    given["prompts"] = [{"text": text} for text in settings.prompts]
    command = repeating_command(given)
    assert "/secret" not in command
    words = shlex.split(command)
    assert words[:2] == ["wsi-parse", "array"]
    options: dict[str, Any] = {}
    keys = {"--prompt": "prompts", "--set": "overrides", "--model": "model", "--field-um": "field_um", "--mpp": "mpp"}
    keys |= {"--roi": "roi", "--threshold": "threshold", "--format": "formats"}
    rest = iter(words[2:])
    for word in rest:
        if word == "--override-mpp":
            options["override_mpp"] = True
        else:
            options.setdefault(keys[word], []).append(next(rest))
    several = ("prompts", "overrides", "formats")
    single = {
        key: values[0] if key not in several and values is not True else values for key, values in options.items()
    }
    again = settings_of(None, single.pop("overrides"), single.pop("prompts"), **single)
    assert redacted_settings(again) | {"compute": 0} == redacted_settings(settings) | {"compute": 0}
