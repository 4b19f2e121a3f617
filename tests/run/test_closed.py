"""A slide is closed again when what comes after its opening fails."""

from pathlib import Path
from typing import Any

import pytest

from tests.small_slides import tissue_with_nuclei, write_slide
from wsi_parse.compute import worker
from wsi_parse.errors import SlideOpenError, UsageError, WeightsError
from wsi_parse.run import layout
from wsi_parse.run import prepared as prepared_module
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide, openslide_reader


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "small.svs", tissue_with_nuclei(500, 400)[0])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Slide]:
    """All slides that are made while a test runs, held so that nothing but the code closes them."""
    slides: list[Slide] = []
    make = Slide.__init__

    def making(self: Slide, *given: Any) -> None:
        make(self, *given)
        slides.append(self)

    monkeypatch.setattr(Slide, "__init__", making)
    return slides


def settings_of(**slide: object) -> RunSettings:
    return RunSettings.load(prompts=("nuclei",), model={"name": "stain"}, slide=slide)


def test_when_the_region_cannot_be_read(slide: Path, opened: list[Slide], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.geojson"):
        resolve_run(slide, resolve(settings_of(roi=tmp_path / "no.geojson")))
    assert [one._closing.alive for one in opened] == [False]


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()])
def test_when_anything_else_fails(
    slide: Path, opened: list[Slide], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(prepared_module, "warn_if_upsampled", fails)
    with pytest.raises(type(error)):
        resolve_run(slide, resolve(settings_of()))
    assert [one._closing.alive for one in opened] == [False]


def test_when_a_worker_lacks_the_weights(
    slide: Path, opened: list[Slide], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resolve_run(slide, resolve(settings_of())).slide as ours:
        prepared = resolve_run(slide, resolve(settings_of()))
        plan = layout.lay_out(prepared, prepared.tissue(), tmp_path)
        del opened[:]

        def lacking(*_: object) -> None:
            raise WeightsError("There are none.")

        monkeypatch.setattr(worker, "weights_here", lacking)
        with pytest.raises(WeightsError):
            worker._plan(plan.sealed, "prediction")
        assert [one._closing.alive for one in opened] == [False]
        assert ours._closing.alive
        prepared.slide.close()


def test_when_a_reader_does_not_understand_what_it_opened(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = openslide_reader.openslide.OpenSlide.close

    def closing(self: Any) -> None:
        closed.append(self)
        close(self)

    def fails(*_: object) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr(openslide_reader.openslide.OpenSlide, "close", closing)
    monkeypatch.setattr(openslide_reader, "fingerprint", fails)
    with pytest.raises(SlideOpenError, match="the disk went away"):
        open_slide(slide, SlideOptions(reader="openslide"))
    assert len(closed) == 1
