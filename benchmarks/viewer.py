"""`wsi-parse view` on a million objects, over HTTP as a browser asks: `python -m benchmarks.viewer [--json]`.

The slide is painted (`benchmarks.scale_slide`), 100,000 px a side unless --side says otherwise, and each of its
1,040,400 cells is an object: of 24 points, ten classes and twelve measurements. The command itself is started twice: at
the first start it builds the buffers, at the second they are there. Then each kind of request is sent again and again
for random views at random zooms, by one client and by four at a time; tiles also from a copy of the slide without a
pyramid, whose first far tile takes reading the whole slide, and what is asked meanwhile is measured, too.

Processor seconds are those of the server. Limits, for each kind: median 100 ms, 99th percentile 300 ms; building 30 s
of a processor; memory of the server (PSS) 1.5 GB. Times at the wall mean little on a busy machine: its load is told.
"""

import argparse
import http.client
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import psutil

from benchmarks import limits
from benchmarks.viewer_study import make
from wsi_parse.compute.memory import total_bytes

LIMIT_MEDIAN_MS, LIMIT_P99_MS, LIMIT_BUILD_S, LIMIT_MB = 100.0, 300.0, 30.0, 1500.0
CLIENTS = 4
_WINDOW = 1366, 900
_SAMPLES_PER_SECOND = 10
_START_SECONDS = 600
_LINK = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")

#: The address of a random request of a kind.
Ask = Callable[[np.random.Generator], str]


class Server:
    """The running command, with its peak of memory."""

    def __init__(self, run: Path, slide: Path) -> None:
        command = [sys.executable, "-m", "wsi_parse", "view", str(run), "--slide", str(slide), "--no-browser"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._watched = psutil.Process(self._process.pid)
        self.peak_mb = 0.0
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        self.link = self._read_link()

    def _read_link(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := _LINK.search(line):
                return found.group()
        raise SystemExit("The viewer did not start.")

    def _watch(self) -> None:
        while not self._ended.wait(1 / _SAMPLES_PER_SECOND):
            try:
                self.peak_mb = max(self.peak_mb, total_bytes(self._watched) / 1e6)
            except psutil.NoSuchProcess:
                return

    def cpu_seconds(self) -> float:
        """Return the processor seconds so far, of user and system."""
        used = self._watched.cpu_times()
        return float(used.user + used.system)

    def close(self) -> None:
        """End it as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            # Whoever starts this in the background of a shell lets all of it ignore Ctrl-C.
            self._process.terminate()
            self._process.wait(60)
            code = 0
        finally:
            self._ended.set()
            self._watching.join()
        if code:
            raise SystemExit(f"The viewer ended with exit code {code}.")


class Client:
    """A browser's connection, which stays open."""

    def __init__(self, link: str) -> None:
        parts = urlsplit(link)
        self._connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=_START_SECONDS)
        self._headers = {"Authorization": f"Bearer {parse_qs(parts.query)['token'][0]}"}

    def get(self, path: str) -> tuple[float, bytes]:
        """Ask for something; return milliseconds and content."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 204):
            raise SystemExit(f"{path}: {answer.status} {content[:200]!r}")
        return 1000 * (time.perf_counter() - began), content


@dataclass(frozen=True)
class Views:
    """Random views of a slide, and what a browser asks for in one."""

    width: int
    height: int
    max_zoom: int
    objects: int
    measurement: str

    @classmethod
    def of(cls, facts: dict[str, Any]) -> "Views":
        """Take them from view.json."""
        (layer,) = facts["layers"]
        return cls(facts["width"], facts["height"], facts["max_z"], layer["objects"], layer["measurements"][0]["name"])

    def kinds(self, *, far: bool) -> dict[str, Ask]:
        """Return the kinds of requests.

        Parameters
        ----------
        far : bool
            Whether tiles of all zoom levels are asked for, or only near ones.
        """
        return {
            "tile": self.tile if far else self.near_tile,
            "cell": lambda random: "objects/0/{}/{}.bin".format(*self._part(random, 1024)),
            "values": lambda random: "values/0/{}/{}/{}.bin".format(self.measurement, *self._part(random, 1024)),
            "count": self.count,
            "density": self.density,
            "click": lambda random: f"object/0/{random.integers(self.objects)}",
        }

    def tile(self, random: np.random.Generator) -> str:
        """Ask for a tile at a zoom level that is as likely as any other."""
        return self._tile(random, int(random.integers(0, self.max_zoom + 1)))

    def near_tile(self, random: np.random.Generator) -> str:
        """Ask for a tile of full resolution, or of half or a quarter of it."""
        return self._tile(random, int(random.integers(0, 3)))

    def count(self, random: np.random.Generator) -> str:
        """Ask for the number of objects in a window."""
        x, y = self._place(random)
        across, down = (side * 2 ** random.uniform(-1, self.max_zoom) / 2 for side in _WINDOW)
        return f"counts/0?x0={x - across}&y0={y - down}&x1={x + across}&y1={y + down}"

    def density(self, random: np.random.Generator) -> str:
        """Ask for a tile of the density."""
        zoom = int(random.integers(2, self.max_zoom + 1))
        return "density/0/{}/{}/{}.bin".format(zoom, *self._part(random, 512 << zoom))

    def _tile(self, random: np.random.Generator, zoom: int) -> str:
        return "tiles/{}/{}/{}.jpg".format(zoom, *self._part(random, 512 << zoom))

    def _part(self, random: np.random.Generator, side: int) -> tuple[int, int]:
        x, y = self._place(random)
        return int(x // side), int(y // side)

    def _place(self, random: np.random.Generator) -> tuple[float, float]:
        return random.uniform(0, self.width), random.uniform(0, self.height)


def row_of(what: str, milliseconds: list[float], cpu_s: float | None, sizes: list[int]) -> dict[str, Any]:
    """Describe requests of a kind; those that come once have no percentile."""
    return {
        "what": what,
        "requests": len(milliseconds),
        "cpu_ms": None if cpu_s is None else round(1000 * cpu_s / len(milliseconds), 2),
        "median_ms": round(statistics.median(milliseconds), 1),
        "p99_ms": round(sorted(milliseconds)[math.ceil(0.99 * len(milliseconds)) - 1], 1),
        "most_ms": round(max(milliseconds), 1),
        "kb": round(statistics.median(sizes) / 1000, 1),
    }


def alone(server: Server, kinds: dict[str, Ask], count: int, note: str) -> Iterator[dict[str, Any]]:
    """Send requests of one kind after the other, by one client."""
    client = Client(server.link)
    for seed, (kind, ask) in enumerate(kinds.items()):
        random, before = np.random.default_rng(seed), server.cpu_seconds()
        answers = [client.get(f"/s/0/{ask(random)}") for _ in range(count)]
        spent = server.cpu_seconds() - before
        sizes = [len(content) for _, content in answers]
        yield row_of(f"{kind}, one client{note}", [taken for taken, _ in answers], spent, sizes)


def mixed(server: Server, kinds: dict[str, Ask], count: int, note: str) -> Iterator[dict[str, Any]]:
    """Send requests of all kinds, mixed, by several clients at a time."""

    def one(seed: int) -> list[tuple[str, float, int]]:
        random, client, answers = np.random.default_rng(100 + seed), Client(server.link), []
        for _ in range(count):
            kind = str(random.choice(list(kinds)))
            taken, content = client.get(f"/s/0/{kinds[kind](random)}")
            answers.append((kind, taken, len(content)))
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for found in pool.map(one, range(CLIENTS)) for answer in found]
    for kind in kinds:
        of_kind = [(taken, size) for each, taken, size in answers if each == kind]
        sizes = [size for _, size in of_kind]
        yield row_of(f"{kind}, {CLIENTS} clients{note}", [taken for taken, _ in of_kind], None, sizes)


def once(server: Server, path: str, what: str) -> dict[str, Any]:
    """Send one request that is sent once in the life of a page."""
    before = server.cpu_seconds()
    taken, content = Client(server.link).get(f"/s/0/{path}")
    return row_of(what, [taken], server.cpu_seconds() - before, [len(content)]) | {"once": True}


@contextmanager
def started(run: Path, slide: Path, what: str) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Start the command; what it took is in a row, which is whole when it has ended."""
    began = time.perf_counter()
    server = Server(run, slide)
    row = {
        "what": what,
        "cpu_s": round(server.cpu_seconds(), 1),
        "seconds": round(time.perf_counter() - began, 1),
        "start_peak_mb": round(server.peak_mb),
    }
    try:
        yield server, row
    finally:
        server.close()
        row["peak_mb"] = round(server.peak_mb)


def measure(side: int, folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """Measure everything."""
    run, slide = make(side, folder, pyramid=True)
    yield {"what": "load before", "load": os.getloadavg()[0], "side_px": side, "cpus": os.cpu_count()}
    with started(run, slide, "first start, builds the buffers") as (_, row):
        pass
    yield row
    with started(run, slide, "second start") as (server, row):
        yield once(server, "view.json", "view.json, first")
        views = Views.of(json.loads(Client(server.link).get("/s/0/view.json")[1]))
        yield once(server, f"tiles/{views.max_zoom}/0/0.jpg", "tile of the whole slide, first")
        yield once(server, "places.json", "places, first")
        yield from alone(server, {"places": lambda _: "places.json"}, count, "")
        kinds = views.kinds(far=True)
        yield from alone(server, kinds, count, "")
        yield from mixed(server, kinds, count, "")
    yield row
    run, slide = make(side, folder, pyramid=False)
    with started(run, slide, "no pyramid, first start"):
        pass
    with started(run, slide, "no pyramid, second start") as (server, row):
        far = f"tiles/{views.max_zoom}/0/0.jpg"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(once, server, far, "tile of the whole slide, first, no pyramid")
            yield from mixed(server, views.kinds(far=False), count, " while the whole slide is read")
            yield waiting.result()
        yield from alone(server, {"tile": views.tile}, count, ", no pyramid")
        yield from mixed(server, views.kinds(far=True), count, ", no pyramid")
    yield row


def within_limits(rows: list[dict[str, Any]]) -> bool:
    """Print the limits, and return whether all hold."""
    often = [row for row in rows if "median_ms" in row and not row.get("once")]
    starts = [row for row in rows if "peak_mb" in row]
    slowest, latest = (max(often, key=lambda row: row[name]) for name in ("median_ms", "p99_ms"))
    build, peak = max(row["cpu_s"] for row in starts), max(row["peak_mb"] for row in starts)
    judged = {
        f"median {slowest['median_ms']:.0f} ms ({slowest['what']}; limit {LIMIT_MEDIAN_MS:.0f})": (
            slowest["median_ms"] <= LIMIT_MEDIAN_MS
        ),
        f"99th percentile {latest['p99_ms']:.0f} ms ({latest['what']}; limit {LIMIT_P99_MS:.0f})": (
            latest["p99_ms"] <= LIMIT_P99_MS
        ),
        f"first start {build:.1f} s of a processor (limit {LIMIT_BUILD_S:.0f})": build <= LIMIT_BUILD_S,
        f"memory {peak:,} MB (limit {LIMIT_MB:,.0f})": peak <= LIMIT_MB,
    }
    for text, held in judged.items():
        print(f"{'ok    ' if held else 'MISSED'} {text}")
    return all(judged.values())


def main() -> None:
    """Make what is looked at, measure, and print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=100_000, help="of the slide, in pixels (default 100,000)")
    parser.add_argument("--requests", type=int, default=200, help="of each kind and client (default 200)")
    parser.add_argument("--folder", type=Path, help="folder for slides and runs; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for row in measure(given.side, folder, given.requests):
            rows.append(row)
            print(json.dumps(row) if given.json else _line(row), flush=True)
    limits.end(kept=within_limits(rows))


def _line(row: dict[str, Any]) -> str:
    return f"{row['what']:60}  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "what")


if __name__ == "__main__":
    main()
