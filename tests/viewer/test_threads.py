"""What several threads ask of the viewer at a time is made once, and nothing is pulled away under who reads it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from wsi_parse.errors import UsageError
from wsi_parse.slides import open_slide
from wsi_parse.viewer import opened as opened_module
from wsi_parse.viewer.app import application
from wsi_parse.viewer.kept import Kept
from wsi_parse.viewer.once import once
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.slide_view import Entry, SlideView
from wsi_parse.viewer.tiles import SlideTiles

THREADS = 8


def at_once(work: Callable[[], object]) -> list[object]:
    """Do something in several threads that begin together."""
    start = Barrier(THREADS)

    def one() -> object:
        start.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        return [each.result() for each in [pool.submit(one) for _ in range(THREADS)]]


class Slow:
    def __init__(self) -> None:
        self.calls = 0

    @once
    def value(self) -> object:
        self.calls += 1
        time.sleep(0.05)
        return object()

    @once
    def twice_of_other(self) -> list[object]:
        """A value that is made of another one."""
        return [self.value]


def test_a_property_is_computed_once_for_each_object() -> None:
    one, other = Slow(), Slow()
    assert len({id(found) for found in at_once(lambda: one.value)}) == 1
    assert (one.calls, other.calls) == (1, 0)
    assert one.twice_of_other == [one.value]
    assert Slow.twice_of_other.__doc__ == "A value that is made of another one."


def test_an_error_of_a_property_is_not_kept() -> None:
    class Failing:
        fails = True

        @once
        def value(self) -> int:
            if self.fails:
                raise ValueError("not yet")
            return 1

    found = Failing()
    with pytest.raises(ValueError, match="not yet"):
        _ = found.value
    found.fails = False
    assert found.value == 1


def test_what_is_kept_is_made_once_and_dropped_when_it_is_too_much() -> None:
    kept, made = Kept[bytes](100, len), []

    def make() -> bytes:
        made.append(1)
        time.sleep(0.05)
        return b"x" * 60

    assert at_once(lambda: kept.get("a", make)) == [b"x" * 60] * THREADS
    assert (len(made), kept.size) == (1, 60)
    kept.get("b", make)
    assert kept.size == 60
    kept.get("a", make)
    assert len(made) == 3


def test_the_tiles_of_a_slide_are_the_same_for_all_threads() -> None:
    with open_slide(np.full((600, 800, 3), 240, np.uint8)) as slide:
        view = SlideView(slide, {}, None, None)
        assert len({id(found) for found in at_once(lambda: view.tiles)}) == 1


def test_a_thumbnail_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay = tmp_path / "overlay.png"
    Image.new("RGB", (900, 700), "pink").save(overlay)
    made, original = [], Image.Image.thumbnail

    def slow(*given: object, **options: object) -> None:
        made.append(1)
        time.sleep(0.05)
        original(*given, **options)

    monkeypatch.setattr(Image.Image, "thumbnail", slow)
    entry = Entry("a", "done", 1, (), lambda: pytest.fail("the slide is not opened"), overlay)
    served = Opened([entry], tmp_path / "temporary", cohort=True)
    assert len(set(at_once(lambda: served.thumbnail(0)))) == 1
    assert len(made) == 1


class SlowSlide:
    """Stands before a slide: a read waits until it may end, and tells whether the slide was closed meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads, self.may_end, self.closed_under_reader = Event(), Event(), False
        self.slide = open_slide(np.full((600, 800, 3), 240, np.uint8))
        self._read = self.slide.read
        monkeypatch.setattr(self.slide, "read", self.read)

    def read(self, *given: object) -> np.ndarray:
        self.reads.set()
        assert self.may_end.wait(30)
        try:
            return self._read(*given)
        except UsageError:
            self.closed_under_reader = True
            raise


@pytest.mark.parametrize("address", ["/s/0/tiles/0/0/0.jpg", "/s/0/thumbnail.jpg"])
def test_a_slide_is_closed_when_its_last_reader_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    slow = SlowSlide(monkeypatch)
    served = Opened([Entry("a", "done", 1, (), lambda: SlideView(slow.slide, {}, None, None))], tmp_path, cohort=False)
    client = TestClient(application(served, {}, "t", 1), "http://127.0.0.1:1", headers={"Authorization": "Bearer t"})
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(client.get, address)
        assert slow.reads.wait(30)
        closing = pool.submit(served.close)
        time.sleep(0.1)
        assert not closing.done()
        slow.may_end.set()
        closing.result(30)
        assert answer.result(30).status_code == 200
    assert not slow.closed_under_reader
    with pytest.raises(UsageError, match="is closed"):
        slow.slide.get_thumbnail((10, 10))


def test_answers_in_threads_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of addresses that know nothing of it."""
    under_way, may_end = Event(), Event()

    def places(_: SlideView) -> dict[str, object]:
        under_way.set()
        assert may_end.wait(30)
        return {}

    monkeypatch.setattr(SlideView, "places", places)
    view = SlideView(open_slide(np.full((60, 80, 3), 240, np.uint8)), {}, None, None)
    served = Opened([Entry("a", "done", 1, (), lambda: view)], tmp_path, cohort=False)
    client = TestClient(application(served, {}, "t", 1), "http://127.0.0.1:1", headers={"Authorization": "Bearer t"})
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(client.get, "/s/0/places.json")
        assert under_way.wait(30)
        closing = pool.submit(served.close)
        time.sleep(0.1)
        assert not closing.done()
        may_end.set()
        closing.result(30)
        assert answer.result(30).status_code == 200


def test_a_slide_that_cannot_be_read_to_its_end_does_not_keep_the_viewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_module, "_READING_SECONDS", 0.1)
    view = SlideView(open_slide(np.full((60, 80, 3), 240, np.uint8)), {}, None, None)
    served = Opened([Entry("a", "done", 1, (), lambda: view)], tmp_path, cohort=False)
    served.view(0)
    with served.reading():
        served.close()
        assert view.slide.get_thumbnail((10, 10)).size == (10, 7)
    view.slide.close()


def test_what_takes_long_ends_soon_when_the_viewer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slide without a pyramid is read piece by piece: after each it may end."""
    monkeypatch.setattr("wsi_parse.viewer.tiles._MOST_STEP", 1)
    with open_slide(np.full((2000, 2000, 3), 240, np.uint8)) as slide:
        tiles, reads, original = SlideTiles(slide), [], slide.read

        def read(*given: object) -> np.ndarray:
            reads.append(1)
            if len(reads) == 3:
                tiles.stop()
            return original(*given)

        monkeypatch.setattr(slide, "read", read)
        with pytest.raises(UsageError, match="The viewer has ended"):
            tiles.tile(tiles.max_zoom, 0, 0)
        assert len(reads) == 3


def test_a_tile_that_takes_long_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.viewer.tiles._MOST_STEP", 1)
    slide = open_slide(np.full((2000, 2000, 3), 240, np.uint8))
    view = SlideView(slide, {}, None, None)
    under_way, may_end, original = Event(), Event(), SlideTiles._pixels

    def pixels(tiles: SlideTiles, zoom: int, column: int, row: int) -> np.ndarray:
        if tiles.is_far(zoom):
            under_way.set()
            assert may_end.wait(30)
        return original(tiles, zoom, column, row)

    monkeypatch.setattr(SlideTiles, "_pixels", pixels)
    served = Opened([Entry("a", "done", 1, (), lambda: view)], tmp_path, cohort=False)
    app = application(served, {}, "t", 1)
    with (
        TestClient(app, "http://127.0.0.1:1", headers={"Authorization": "Bearer t"}) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        far = pool.submit(client.get, f"/s/0/tiles/{view.tiles.max_zoom}/0/0.jpg")
        assert under_way.wait(30)
        near = pool.submit(client.get, "/s/0/tiles/0/3/3.jpg")
        assert near.result(30).status_code == 200
        assert not far.done()
        may_end.set()
        assert far.result(30).status_code == 200
    served.close()
