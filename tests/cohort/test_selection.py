"""A cohort decides once: one model over the prompts of all rows; each note once, where it is made."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cohort.test_run import RecordingListener
from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.cohort import CohortSlide, Listing, decide, list_cohort, run_cohort
from wsi_parse.errors import UsageError
from wsi_parse.models.stain import StainModel
from wsi_parse.registry import MODELS
from wsi_parse.run import resolve as resolve_module
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.resolve import Request
from wsi_parse.settings import RunSettings


class Fine(StainModel):
    """The best model for one prompt, which knows no other."""

    spec = dataclasses.replace(StainModel.spec, name="fine", prompts=("nuclei",), rank=1000)


class Broad(StainModel):
    """The best model that knows both."""

    spec = dataclasses.replace(StainModel.spec, name="broad", prompts=("nuclei", "neoplastic cells"), rank=900)

    @classmethod
    def plan(cls, prompts, settings):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN206
        (one,) = StainModel.plan([dataclasses.replace(prompts[0], name="nuclei")], settings)
        recipes = tuple(dataclasses.replace(one.recipes[0], prompt=prompt) for prompt in prompts)
        return (dataclasses.replace(one, recipes=recipes, notes=("A caution of broad.",)),)


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    for model in (Fine, Broad):
        MODELS.add(model.spec.name, model)
    yield
    for model in (Fine, Broad):
        MODELS.remove(model.spec.name)


def rows(path: Path) -> Listing:
    return Listing(
        [
            CohortSlide(id="one", path=path, prompts=("nuclei",)),
            CohortSlide(id="two", path=path, prompts=("tumour cells",)),
            CohortSlide(id="three", path=path, prompts=("nuclei",), mpp=0.25),
        ]
    )


def test_one_model_over_the_prompts_of_all_rows(tmp_path: Path) -> None:
    alone = decide(Listing(rows(tmp_path / "a.svs").slides[:1]), RunSettings())
    assert alone.settings.model.name == "fine"
    decided = decide(rows(tmp_path / "a.svs"), RunSettings())
    assert decided.settings.model.name == "broad"
    requests = [decided.request(row) for row in decided.listing.slides]
    assert {request.settings.model.name for request in requests} == {"broad"}
    assert [[prompt.name for prompt in request.prompts] for request in requests] == [
        ["nuclei"],
        ["neoplastic cells"],
        ["nuclei"],
    ]
    assert requests[2].settings.slide.mpp == 0.25
    assert len(decided.notes) == len(set(decided.notes))
    assert decided.notes.count("A caution of broad.") == 1
    assert sum("broad" in note and note.startswith("Using") for note in decided.notes) == 1


def test_rows_with_the_same_prompts_share_their_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[int] = []
    plan_passes = resolve_module.plan_passes

    def counting(model, prompts, settings):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        planned.append(len(prompts))
        return plan_passes(model, prompts, settings)

    monkeypatch.setattr(resolve_module, "plan_passes", counting)
    settings = RunSettings.load(prompts=("nuclei",), model={"name": "broad"})
    many = Listing([CohortSlide(id=str(number), path=tmp_path / "a.svs") for number in range(50)])
    decided = decide(many, settings)
    assert len(planned) == 1
    assert all(isinstance(request, Request) for request in decided.requests.values())


def test_a_row_that_contradicts_itself_fails_alone(tmp_path: Path) -> None:
    listing = rows(tmp_path / "a.svs")
    bad = CohortSlide(id="bad", path=tmp_path / "a.svs", prompts=("glands in breast", "glands in colon"))
    decided = decide(Listing([*listing.slides, bad]), RunSettings())
    assert [problem.id for problem in decided.listing.problems] == ["bad"]
    with pytest.raises(UsageError, match="prompt"):
        decide(Listing([CohortSlide(id="none", path=tmp_path / "a.svs")]), RunSettings())


@pytest.mark.whole
def test_two_rows_with_different_prompts_use_one_model(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.svs", tissue_with_nuclei(500, 450)[0])
    listener = RecordingListener()
    outcomes = run_cohort(Listing(rows(path).slides[:2]), tmp_path / "out", RunSettings(), listener)
    assert [outcome.model for outcome in outcomes] == ["broad", "broad"]
    for outcome in outcomes:
        manifest = RunManifest.load(tmp_path / "out" / outcome.id)
        assert manifest is not None
        assert manifest.settings["model"]["name"] == "broad"
        assert "A caution of broad." in manifest.limitations
    assert len(listener.notes) == len(set(listener.notes))
    assert listener.notes.count("A caution of broad.") == 1


@pytest.mark.whole
def test_the_names_of_files_are_in_no_table_if_others_are_given(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "Mueller.svs", tissue_with_nuclei(500, 450)[0])
    (tmp_path / "Meier.svs").write_bytes(b"torn")
    listing = Listing([CohortSlide(id="one", path=path), CohortSlide(id="two", path=tmp_path / "Meier.svs")])
    settings = RunSettings.load(prompts=("nuclei",), model={"name": "stain"}, slide={"name": "case {id}"})
    for _ in range(2):
        one, two = run_cohort(listing, tmp_path / "out", settings, RecordingListener())
        assert (one.slide, one.state) == ("case one", "done")
        assert (two.slide, two.state) == ("case two", "failed")
        assert "case two" in str(two.error)
        for file in (tmp_path / "out").rglob("*"):
            found = file.read_bytes() if file.is_file() else b""
            assert not {name for name in (b"Meier", b"Mueller") if name in found}, file.name


@pytest.mark.parametrize(("missing", "is_asked"), [(20, True), (21, False)])
def test_similar_names_are_looked_for_where_few_files_are_missing(tmp_path: Path, missing: int, is_asked: bool) -> None:
    write_slide(tmp_path / "slide_x.svs", tissue_with_nuclei(400, 400)[0])
    lines = ["path", "slide_x.svs", *(f"slide_{number}.svs" for number in range(missing))]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    listener = RecordingListener()
    listing = list_cohort(tmp_path / "list.csv", tmp_path / "out")
    settings = RunSettings(prompts="nuclei", model="stain", export={"overlay_px": 0, "report": False})
    run_cohort(listing, tmp_path / "out", settings, listener)
    assert len(listener.problems) == missing
    assert {"Did you mean 'slide_x.svs'?" in (problem.error or "") for problem in listener.problems} == {is_asked}
