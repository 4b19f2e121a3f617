"""Who may ask the viewer for what: every request without the token, from elsewhere, or for anything else is refused."""

from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from starlette.testclient import TestClient

from tests.viewer.made import batch_of, layer_of
from wsi_parse.slides import open_slide
from wsi_parse.viewer.app import application
from wsi_parse.viewer.gate import Gate
from wsi_parse.viewer.opened import Opened
from wsi_parse.viewer.slide_view import Entry, SlideView

TOKEN = "right-token"
FILES = {name: (name.encode(), "text/html; charset=utf-8") for name in ("index.html", "viewer.js", "viewer.css")}
HOME = "http://127.0.0.1:5000"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    folder = tmp_path_factory.mktemp("view")
    slide = open_slide(np.full((600, 800, 3), 240, np.uint8))
    view = SlideView(slide, {0: layer_of(folder, batch_of([shapely.box(0, 0, 9, 9)], 0, 0.5))}, None, folder)
    return application(Opened([Entry("a", "done", 1, (), lambda: view)], folder, cohort=False), FILES, TOKEN, 2)


@pytest.fixture
def client(gate: Gate) -> Iterator[TestClient]:
    """A browser that has opened the link."""
    with TestClient(gate, HOME, follow_redirects=False) as client:
        assert client.get(f"/?token={TOKEN}").status_code == 303
        yield client


@pytest.fixture
def stranger(gate: Gate) -> Iterator[TestClient]:
    with TestClient(gate, HOME, follow_redirects=False) as client:
        yield client


ADDRESSES = (
    "/",
    "/s/0/",
    "/s/0/view.json",
    "/s/0/tiles/0/0/0.jpg",
    "/s/0/thumbnail.jpg",
    "/s/0/objects/0/0/0.bin",
    "/s/0/large/0.bin",
    "/s/0/object/0/0",
    "/s/0/density/0/2/0/0.bin",
    "/s/0/counts/0?x0=0&y0=0&x1=9&y1=9",
    "/s/0/values/0/class_probability/0/0.bin",
    "/s/0/values/0/class_probability/large.bin",
    "/s/0/areas.json",
    "/s/0/places.json",
    "/cohort.json",
    "/static/viewer.js",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_address_answers_who_has_the_link_and_nobody_else(client: TestClient, gate: Gate, address: str) -> None:
    assert client.get(address).status_code in (200, 204, 303)
    with TestClient(gate, HOME, follow_redirects=False) as stranger:
        refused = stranger.get(address)
    assert refused.status_code == 403
    assert "link" in refused.text


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger: TestClient) -> None:
    answer = stranger.get(f"/s/0/?x=1&token={TOKEN}&layer=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/s/0/?x=1&layer=2")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert stranger.get("/s/0/view.json").status_code == 200


def test_a_notebook_may_send_the_token_itself(stranger: TestClient) -> None:
    assert stranger.get("/s/0/view.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer é"):
        assert stranger.get("/s/0/view.json", headers={"Authorization": wrong.encode()}).status_code == 403


@pytest.mark.parametrize(
    "query", ["token=", "token=wrong", f"token={TOKEN}&token={TOKEN}", f"TOKEN={TOKEN}", "token=%F0"]
)
def test_a_wrong_token_opens_nothing(stranger: TestClient, query: str) -> None:
    assert stranger.get(f"/?{query}").status_code == 403
    assert not stranger.cookies


def test_a_wrong_token_is_refused_also_with_the_cookie(client: TestClient) -> None:
    assert client.get("/?token=wrong").status_code == 403


def test_a_wrong_cookie_opens_nothing(client: TestClient, gate: Gate) -> None:
    with TestClient(gate, HOME) as other:
        for cookie in (f"{gate.cookie_name}=x", f"{gate.cookie_name}", "a=b; c", f"{gate.cookie_name}={TOKEN}", "\xff"):
            assert other.get("/s/0/view.json", headers={"Cookie": cookie.encode("latin-1")}).status_code == 403


@pytest.mark.parametrize("others", ['foo={"a": 1}', "a b", "foo[bar=1", "x=a,b c", "x@y=1", "=", ";;"])
def test_cookies_of_other_programs_lock_nobody_out(stranger: TestClient, gate: Gate, others: str) -> None:
    stranger.get(f"/?token={TOKEN}")
    own = f"{gate.cookie_name}={stranger.cookies[gate.cookie_name]}"
    stranger.cookies.clear()
    for line in (f"{others}; {own}", f"{own}; {others}"):
        assert stranger.get("/s/0/view.json", headers={"Cookie": line}).status_code == 200
    assert stranger.get("/s/0/view.json", headers={"Cookie": others}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "127.0.0.1", "LOCALHOST:1"])
def test_through_a_tunnel_the_port_may_differ(client: TestClient, host: str) -> None:
    assert client.get("/s/0/view.json", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:5000", "127.0.0.1:5000@evil.example", "0.0.0.0:5000", ""],
)
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/s/0/view.json", headers={"Host": host}).status_code == 403
    assert client.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1:5000", "null", "http://localhost.evil.example"]
)
def test_another_origin_is_refused(client: TestClient, origin: str) -> None:
    assert client.get("/s/0/view.json", headers={"Origin": origin}).status_code == 403
    assert client.get("/s/0/view.json", headers={"Origin": HOME}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(client: TestClient, method: str) -> None:
    answer = client.request(method, "/s/0/view.json")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_answered(client: TestClient) -> None:
    assert client.head("/s/0/view.json").status_code == 200


def raw(gate: Gate, path: bytes) -> int:
    """Ask for a path as it stands, which clients would clean."""
    import anyio

    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:5000"), (b"authorization", f"Bearer {TOKEN}".encode())]
    from urllib.parse import unquote

    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": b"",
        "headers": headers,
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 5000),
    }
    anyio.run(gate, scope, receive, send)
    return int(str(sent[0]["status"]))


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../pyproject.toml",
        b"/static/..%2f..%2fetc/passwd",
        b"/static/%2e%2e/%2e%2e/etc/passwd",
        b"/static/%252e%252e/x",
        b"/static/..\\x",
        b"/static/%5c..%5cx",
        b"/static//etc/passwd",
        b"/static/viewer.js%00.html",
        b"/static/",
        b"/static/run.json",
        b"/s/0/../0/view.json",
        b"/s/0/objects.parquet",
        b"/s/0/run.json",
        b"/s/0/tiles/0/0/0.png",
        b"/s/0/tiles/0/0/../0.jpg",
        b"/s/0/tiles/x/0/0.jpg",
        b"/s/0/tiles/0/0/99999999999999.jpg",
        b"/s/0/tiles/30/0/0.jpg",
        b"/s/0/tiles/0/-1/0.jpg",
        b"/s/0/objects/7/0/0.bin",
        b"/s/0/object/0/1",
        b"/s/0/object/0/-1",
        b"/s/0/values/0/nothing/0/0.bin",
        b"/s/0/density/0/1/0/0.bin",
        b"/s/1/view.json",
        b"/s/-1/view.json",
        b"/s/00x/view.json",
        b"/docs",
        b"/openapi.json",
        b"/" + b"a" * 2000,
        "/s/0/\u00e9".encode(),
    ],
)
def test_what_is_not_in_the_list_is_not_found(gate: Gate, path: bytes) -> None:
    assert raw(gate, path) == 404
    assert raw(gate, b"/s/0/view.json") == 200


@pytest.mark.parametrize(
    "query", ["", "x0=0&y0=0&x1=9", "x0=nan&y0=0&x1=1&y1=1", "x0=a&y0=0&x1=1&y1=1", "x0=0&y0=0&x1=inf&y1=1"]
)
def test_a_box_must_be_of_numbers(client: TestClient, query: str) -> None:
    assert client.get(f"/s/0/counts/0?{query}").status_code == 400


@pytest.mark.parametrize("address", ["/s/0/", "/s/0/view.json", "/nothing", "/?token=wrong"])
def test_every_answer_carries_the_policy(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_json_is_not_kept_and_buffers_are_asked_for_again(client: TestClient) -> None:
    assert client.get("/s/0/view.json").headers["cache-control"] == "no-store"
    for address in ("/s/0/objects/0/0/0.bin", "/s/0/tiles/0/0/0.jpg", "/s/0/density/0/2/0/0.bin"):
        first = client.get(address)
        assert first.headers["cache-control"].startswith("private")
        again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


FRAME = {"Sec-Fetch-Dest": "iframe"}


@pytest.fixture
def embedded(gate: Gate) -> Iterator[TestClient]:
    """Somebody whose notebook shows the page in a frame, to which no cookie comes."""
    framed = Gate(gate._app, TOKEN, embedded=True)
    with TestClient(framed, HOME, follow_redirects=False) as client:
        yield client


def test_in_a_frame_the_link_gives_the_page_and_no_cookie(embedded: TestClient) -> None:
    answer = embedded.get(f"/s/0/?token={TOKEN}", headers=FRAME)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "frame-ancestors http://127.0.0.1:* http://localhost:*" in answer.headers["content-security-policy"]
    assert embedded.get("/static/viewer.js").status_code == 200
    assert embedded.get(f"/s/0/?token={TOKEN}").status_code == 303


@pytest.mark.parametrize("address", [one for one in ADDRESSES if not one.startswith("/static/")])
def test_a_frame_without_the_token_gets_nothing(embedded: TestClient, address: str) -> None:
    assert embedded.get(address, headers=FRAME).status_code == 403
    assert embedded.get(address, params={"token": "wrong"}, headers=FRAME).status_code == 403
    assert embedded.get(address, headers={"Authorization": f"Bearer {TOKEN}"}).status_code in (200, 204, 303)


def test_a_frame_of_another_program_is_not_opened_by_the_cookie(embedded: TestClient) -> None:
    """Cookies know no ports: the one of a window of its own comes from each page of this machine."""
    embedded.get(f"/s/0/?token={TOKEN}")
    assert embedded.get("/s/0/").status_code == 200
    assert embedded.get("/s/0/", headers=FRAME).status_code == 403


@pytest.mark.parametrize("path", ["/static/../s/0/view.json", "/static/viewer.js/x", "/static/", "/static"])
def test_beside_the_program_of_the_page_nothing_is_given_away(embedded: TestClient, path: str) -> None:
    assert embedded.get(path).status_code in (403, 404)


def test_outside_of_notebooks_no_frame_shows_the_page(stranger: TestClient) -> None:
    answer = stranger.get(f"/s/0/?token={TOKEN}", headers=FRAME)
    assert (answer.status_code, "frame-ancestors 'none'" in answer.headers["content-security-policy"]) == (303, True)
    stranger.cookies.clear()
    assert stranger.get("/static/viewer.js").status_code == 403
