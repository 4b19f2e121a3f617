"""Gate: who may ask the viewer for what. Every request passes here before anything else looks at it."""

import re
import secrets
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The only address that is served, and the names by which a browser may call it: through a tunnel the port may differ.
HOST = "127.0.0.1"
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
# In no path of ours: steps up, encoded slashes, dots, backslashes and zeros, an encoded percent sign, empty parts.
_ODD_PATH = re.compile(
    rb"//|\\|(^|/)\.{1,2}(/|$)|%(2e|2f|5c|25|0[0-9a-f]|1[0-9a-f]|7f)|[\x00-\x20\x7f-\xff]", re.IGNORECASE
)
_MOST_PATH_BYTES = 1_000
_STATIC = re.compile(rb"/static/[a-z_.]+", re.IGNORECASE)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors {ancestors}"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Where pages come from that may show the viewer in a frame: notebooks on this machine, and those of an editor.
_FRAMERS = "http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:* vscode-webview:"
_NO_TOKEN = "This page needs the link that `wsi-parse view` printed, with its token. Copy the whole link.\n"


class Gate:
    """Lets through who knows the token, from this machine, and only to read.

    Parameters
    ----------
    app : ASGI application
    token : str
        In the link; a request with it gets a cookie.
    embedded : bool
        A notebook on this machine may show the page in a frame. No cookie reaches a page there that comes from
        somewhere else, so the page keeps the token itself, and sends it with each request; its program, which is no
        secret, is given to everybody on this machine.

    Notes
    -----
    Another page in the same browser knows neither token nor cookie (SameSite=Strict); a name that is made to lead to
    this machine is refused by its Host. Answers carry a policy by which the browser asks nobody else for anything.
    """

    def __init__(self, app: ASGIApp, token: str, *, embedded: bool = False) -> None:
        self._app, self._token, self._embedded = app, token, embedded
        self._headers = {
            name: value.format(ancestors=_FRAMERS if embedded else "'none'") for name, value in _HEADERS.items()
        }
        self._cookie = secrets.token_urlsafe(32)
        # Cookies do not know ports: several viewers on one machine keep theirs apart by name.
        self.cookie_name = f"wsi_parse_view_{secrets.token_hex(4)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            # The server's own messages at its start and end.
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further; None if it may."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return _refused(403, "The viewer answers only as 127.0.0.1 or localhost.\n")
        if any(not _ORIGIN.fullmatch(origin) for origin in origins):
            return _refused(403, "The viewer answers no other page.\n")
        if scope["method"] not in ("GET", "HEAD"):
            return _refused(405, "The viewer only shows; nothing can be changed.\n", {"Allow": "GET, HEAD"})
        raw_path = scope.get("raw_path") or scope["path"].encode()
        if len(raw_path) > _MOST_PATH_BYTES or _ODD_PATH.search(raw_path):
            return _refused(404, "There is no such page.\n")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if given:
            return self._with_token(scope, query, given)
        if self._embedded and _STATIC.fullmatch(raw_path):
            return None
        # With the cookie alone, a page of any other program on this machine could show the slide in a frame.
        if self._embedded and headers.get("sec-fetch-dest") == "iframe":
            return _refused(403, _NO_TOKEN)
        if self._is_known(headers):
            return None
        return _refused(403, _NO_TOKEN)

    def _with_token(self, scope: Scope, query: list[tuple[str, str]], given: list[str]) -> Response | None:
        """Answer a link: the token becomes a cookie, and leaves the address; in a frame the page itself keeps it."""
        if len(given) != 1 or not _same(given[0], self._token):
            return _refused(403, _NO_TOKEN)
        if self._embedded and Headers(scope=scope).get("sec-fetch-dest") == "iframe":
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self.cookie_name, self._cookie, httponly=True, samesite="strict", path="/")
        return answer

    def _is_known(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(token.strip(), self._token):
            return True
        # Cookies know no ports: those of every other program on this machine come, too, of whatever form.
        pairs = (one.strip().partition("=") for line in headers.getlist("cookie") for one in line.split(";"))
        return any(name == self.cookie_name and _same(value, self._cookie) for name, _, value in pairs)


def _same(given: str, known: str) -> bool:
    """Compare in a time that says nothing about how much is right."""
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text, status, headers)
