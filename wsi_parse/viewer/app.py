"""The application: which address answers with what. It reads, and never writes."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar
from urllib.parse import unquote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from wsi_parse.errors import WsiParseError
from wsi_parse.viewer.answers import binary, is_current, json_answer, numbers_in, packed, tag_of, unchanged, whole
from wsi_parse.viewer.counts import MIN_DENSITY_ZOOM, counts_in, density_of
from wsi_parse.viewer.gate import Gate
from wsi_parse.viewer.layers import Layer
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.slide_view import SlideView

_PAGE = "index.html"
_LARGE = "large"
_T = TypeVar("_T")

logger = logging.getLogger(__name__)


def application(
    opened: Opened, files: Mapping[str, tuple[bytes, str]], token: str, threads: int, *, embedded: bool = False
) -> Gate:
    """Make the application.

    Parameters
    ----------
    opened : Opened
        What is served.
    files : mapping of str to (bytes, str)
        The page: content and media type of each file.
    token : str
        In the link that opens it.
    threads : int
        How many tiles of slides are read at a time.
    embedded : bool
        A notebook may show the page in a frame; see :class:`Gate`.
    """
    pages = _Pages(opened, files, threads)
    slide = [
        ("", pages.page),
        ("view.json", pages.view),
        ("tiles/{z}/{x}/{y}.jpg", pages.tile),
        ("thumbnail.jpg", pages.thumbnail),
        ("areas.json", pages.areas),
        ("places.json", pages.places),
        ("maps/{map}/{z}/{x}/{y}.bin", pages.map),
        ("density/{layer}/{z}/{x}/{y}.bin", pages.density),
        ("counts/{layer}", pages.counts),
        ("objects/{layer}/{column}/{row}.bin", pages.objects),
        ("large/{layer}.bin", pages.large),
        ("object/{layer}/{row}", pages.object),
        ("values/{layer}/{measurement}/large.bin", pages.large_values),
        ("values/{layer}/{measurement}/{column}/{row}.bin", pages.values),
    ]
    routes = [
        Route("/", pages.root),
        Route("/cohort.json", pages.cohort),
        Route("/static/{name}", pages.static),
        *(Route(f"/s/{{n}}/{path}", pages.counted(answer)) for path, answer in slide),
    ]
    handlers: Mapping[Any, Callable[..., Any]] = {WsiParseError: _failed, HTTPException: _refused}
    return Gate(Starlette(routes=routes, exception_handlers=handlers), token, embedded=embedded)


class _Pages:
    """The answers. Those that are no coroutines run in threads."""

    def __init__(self, opened: Opened, files: Mapping[str, tuple[bytes, str]], threads: int) -> None:
        self._opened, self._files = opened, files
        self._readers, self._far_readers = CapacityLimiter(threads), CapacityLimiter(max(1, threads // 2))

    def root(self, _: Request) -> Response:
        """The list of a cohort; a single slide itself."""
        return self._file(_PAGE) if self._opened.cohort else RedirectResponse("/s/0/", 303)

    def page(self, request: Request) -> Response:
        """The page of a slide; what it shows comes by itself."""
        self._opened.entry(whole(request, "n"))
        return self._file(_PAGE)

    def static(self, request: Request) -> Response:
        """A file of the page: a name in a fixed list, no path."""
        return self._file(str(request.path_params["name"]))

    def _file(self, name: str) -> Response:
        if name not in self._files:
            raise HTTPException(404)
        content, kind = self._files[name]
        return Response(content, headers={"Cache-Control": "no-cache"}, media_type=kind)

    def cohort(self, _: Request) -> Response:
        """The slides that are served."""
        return json_answer({"slides": self._opened.to_list()})

    def view(self, request: Request) -> Response:
        """What the browser needs to begin."""
        return json_answer(self._view(request).to_dict(cohort=self._opened.cohort))

    async def tile(self, request: Request) -> Response:
        """A tile of the slide."""
        view = await run_sync(self._view, request)
        zoom, column, row = (whole(request, name) for name in ("z", "x", "y"))
        tag = tag_of(view.slide.info.fingerprint, zoom, column, row)
        # Tiles that take long have few threads of their own, so that the others need not wait for them.
        readers = self._far_readers if view.tiles.is_far(zoom) else self._readers
        make = partial(view.tiles.tile, zoom, column, row)
        return await self._read_tile(request, readers, tag, make, partial(binary, media_type="image/jpeg"))

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of the slide; in a list that of its run, so that no slide is opened for it."""
        if self._opened.cohort:
            async with self._readers:
                content = await run_sync(self._opened.thumbnail, whole(request, "n"))
            return binary(content, tag_of(content), media_type="image/jpeg")
        view = await run_sync(self._view, request)
        tag = tag_of(view.slide.info.fingerprint, "thumbnail")
        if is_current(request, tag):
            return unchanged(tag)
        async with self._readers:
            return binary(await run_sync(self._read, view.tiles.thumbnail), tag, media_type="image/jpeg")

    def areas(self, request: Request) -> Response:
        """The tissue."""
        return json_answer(self._view(request).areas())

    def places(self, request: Request) -> Response:
        """Places to look at."""
        return json_answer(self._view(request).places())

    async def map(self, request: Request) -> Response:
        """A tile of a probability map."""
        view = await run_sync(self._view, request)
        number, zoom, column, row = (whole(request, name) for name in ("map", "z", "x", "y"))
        if view.manifest is None or not 0 <= number < len(view.maps):
            raise HTTPException(404)
        tag = tag_of(view.manifest.digests.predict, request.url.path)
        make = partial(view.maps[number].tile, zoom, column, row)
        return await self._read_tile(request, self._readers, tag, make, packed)

    def density(self, request: Request) -> Response:
        """How many objects of each class and bin are in the squares of a tile."""
        zoom, column, row = (whole(request, name) for name in ("z", "x", "y"))
        layer, tag = self._layer(request)
        if not MIN_DENSITY_ZOOM <= zoom <= _MAX_ZOOM:
            raise HTTPException(404)
        if is_current(request, tag):
            return unchanged(tag)
        found = density_of(layer.store, zoom, column, row)
        return packed(None if found is None else found.astype("<u4").tobytes(), tag)

    def counts(self, request: Request) -> Response:
        """How many objects of each class and bin are in a box."""
        layer, _ = self._layer(request)
        left, top, right, bottom = numbers_in(request, "x0", "y0", "x1", "y1")
        return json_answer({"counts": counts_in(layer.store, left, top, right, bottom).tolist()})

    def objects(self, request: Request) -> Response:
        """The objects of a cell."""
        layer, tag = self._layer(request)
        column, row = (whole(request, name) for name in ("column", "row"))
        return unchanged(tag) if is_current(request, tag) else binary(layer.store.cell(column, row), tag)

    def large(self, request: Request) -> Response:
        """The large objects."""
        layer, tag = self._layer(request)
        return unchanged(tag) if is_current(request, tag) else binary(layer.store.large(), tag)

    def values(self, request: Request) -> Response:
        """A measurement of the objects of a cell."""
        layer, tag = self._layer(request)
        number = self._measurement(request, layer)
        column, row = (whole(request, name) for name in ("column", "row"))
        return unchanged(tag) if is_current(request, tag) else binary(layer.store.values_of(number, column, row), tag)

    def large_values(self, request: Request) -> Response:
        """A measurement of the large objects."""
        layer, tag = self._layer(request)
        number = self._measurement(request, layer)
        return unchanged(tag) if is_current(request, tag) else binary(layer.store.large_values_of(number), tag)

    def object(self, request: Request) -> Response:
        """All that is known of an object."""
        layer, _ = self._layer(request)
        row = whole(request, "row")
        found, class_index = layer.details.row(row), layer.store.class_of(row)
        if found is None or class_index is None:
            raise HTTPException(404)
        return json_answer({**found, "class_index": class_index})

    async def _read_tile(
        self,
        request: Request,
        readers: CapacityLimiter,
        tag: str,
        make: Callable[[], bytes | None],
        send: Callable[[bytes, str], Response],
    ) -> Response:
        """Make a tile in a thread, unless the browser has it, or nobody waits for it any more."""
        if is_current(request, tag):
            return unchanged(tag)
        async with readers:
            # Who moves on fast asks for tiles that are not looked at.
            if await request.is_disconnected():
                return Response(status_code=204)
            content = await run_sync(self._read, make)
        if content is None:
            raise HTTPException(404)
        return send(content, tag)

    def counted(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Let the end of the viewer wait for an answer that is made in a thread."""
        if iscoroutinefunction(answer):
            return answer

        def counted(request: Request) -> Response:
            return self._read(partial(answer, request))

        return counted

    def _read(self, work: Callable[[], _T]) -> _T:
        with self._opened.reading():
            return work()

    def _view(self, request: Request) -> SlideView:
        return self._opened.view(whole(request, "n"))

    def _layer(self, request: Request) -> tuple[Layer, str]:
        """Return a layer of a slide, and the tag of what is asked of it."""
        layer = self._view(request).layers.get(whole(request, "layer"))
        if layer is None:
            raise HTTPException(404)
        return layer, tag_of(layer.digest, request.url.path)

    def _measurement(self, request: Request, layer: Layer) -> int:
        """Return the number of a measurement: it is given by its name, or by the number if the name is no path."""
        names, given = layer.store.measurements, unquote(str(request.path_params["measurement"]))
        if given in names:
            return names.index(given)
        if not (given.isascii() and given.isdigit() and int(given) < len(names)):
            raise HTTPException(404)
        return int(given)


#: No slide needs more: its level 0 would have a side of 512 * 2**20 pixels.
_MAX_ZOOM = 20


def _failed(_: Request, error: Exception) -> Response:
    """Say what failed and what to do about it."""
    assert isinstance(error, WsiParseError)
    return json_answer({"error": error.message, "remedy": error.remedy}, 500)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_answer({"error": error.detail, "remedy": ""}, error.status_code)
