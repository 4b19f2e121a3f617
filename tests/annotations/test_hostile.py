"""Small files that would take all memory or time, or that raise errors which are not ours."""

import gzip
import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsi_parse.annotations import read_annotations, stream
from wsi_parse.errors import UsageError
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.repair import repair

HEAD, END = b'{"type":"FeatureCollection","features":[', b"]}"
POLYGON = {"type": "Polygon", "coordinates": [[[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]]}
MB = 1_000_000


def packed(path: Path, *parts: bytes) -> Path:
    with gzip.open(path, "wb", 1) as file:
        for part in parts:
            file.write(part)
    return path


def repeated(part: bytes, total: int) -> Iterator[bytes]:
    block = part * (MB // len(part))
    return (block for _ in range(total // len(block)))


def feature(**properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": POLYGON, "properties": properties}


def told(work: Any, path: Path) -> str:
    """Return what is said of a file that may be too deep; one that is read is not."""
    try:
        work(path)
    except UsageError as error:
        return str(error)
    return "it is not nested too deeply"


@pytest.mark.parametrize("work", [read_annotations, check_file])
class TestBounds:
    def refused(self, path: Path, work: Any, words: str, most_mb: float) -> None:
        started = time.process_time()
        tracemalloc.start()
        try:
            with pytest.raises(UsageError, match=words) as caught:
                work(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(str(caught.value)) < 400
        assert peak < most_mb * MB
        assert time.process_time() - started < 60

    def test_one_string_without_end(self, tmp_path: Path, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "MAX_VALUE_BYTES", 10 * MB)
        start = b'{"type":"Feature","a":"'
        path = packed(tmp_path / "a.geojson.gz", HEAD, start, *repeated(b"x1", 50 * MB), b'"}', END)
        self.refused(path, work, "larger than any annotation|when it is unpacked", 80)

    def test_nothing_but_white_space(self, tmp_path: Path, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "MAX_VALUE_BYTES", 10 * MB)
        path = tmp_path / "a.geojson"
        path.write_bytes(b" " * 30 * MB)
        self.refused(path, work, "larger than any annotation", 80)

    def test_members_without_end(self, tmp_path: Path, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "_MAX_AROUND_BYTES", 10 * MB)
        path = tmp_path / "a.geojson"
        path.write_bytes(b'{"type":"FeatureCollection","a":[' + b"{}," * 3 * MB + b'{}],"features":[]}')
        self.refused(path, work, "larger than any annotation", 200)

    def test_millions_of_nothing(self, tmp_path: Path, work: Any) -> None:
        path = packed(tmp_path / "a.geojson.gz", HEAD, *repeated(b"{},", 70 * MB), b"{}", END)
        assert path.stat().st_size < MB
        self.refused(path, work, "values that are not features", 200)

    def test_a_small_package_of_a_large_file(self, tmp_path: Path, work: Any) -> None:
        text = json.dumps(feature()).encode() + b","
        path = packed(tmp_path / "a.geojson.gz", HEAD, *repeated(text, 20 * MB), text[:-1], END)
        self.refused(path, work, "more than 100 times as large", 100)

    def test_a_package_with_a_password(self, tmp_path: Path, work: Any) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("a.geojson", json.dumps(feature()))
        content = bytearray(path.read_bytes())
        # The flag of encryption, in both places where a name stands.
        content[content.index(b"PK\x03\x04") + 6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
        self.refused(path, work, "it has a password", 10)

    def test_a_package_of_an_unknown_kind(self, tmp_path: Path, work: Any) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("a.geojson", json.dumps(feature()))
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x03\x04") + 8] = content[content.index(b"PK\x01\x02") + 10] = 99
        path.write_bytes(content)
        self.refused(path, work, "packed in an unusual way", 10)

    @pytest.mark.parametrize("levels", [300, 505, 600, 100_000])
    @pytest.mark.parametrize(
        ("begin", "end"),
        [
            ('{"type":"GeometryCollection","geometries":[', "]}"),
            ('{"type":"Polygon","coordinates":[[', "]]}"),
            ('{"type":"Feature","geometry":null,"properties":{"childObjects":[', "]}}"),
        ],
    )
    def test_any_depth_is_read_or_refused(self, tmp_path: Path, work: Any, levels: int, begin: str, end: str) -> None:
        path = tmp_path / "a.geojson"
        inner = f"{begin * levels}{json.dumps(POLYGON)}{end * levels}"
        path.write_text(f'[{{"type":"Feature","geometry":{inner},"properties":{{}}}}]')
        assert "too deeply" in told(work, path)

    def test_deep_names_and_ids(self, tmp_path: Path, work: Any) -> None:
        deep: Any = "x"
        for _ in range(600):
            deep = [deep]
        path = tmp_path / "a.geojson"
        path.write_text(json.dumps([{**feature(classification={"names": [deep]}), "id": deep}]))
        assert "too deeply" in told(work, path)


def test_half_a_surrogate_pair_is_text_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    odd = feature(classification={"name": "\udc00", "color": [1, 2, 3]}, objectType="detection")
    path.write_text(json.dumps([{**odd, "id": "\ud800"}, {**odd, "id": "\ud800"}]))
    assert len(read_annotations(path)) == 2
    assert check_file(path).accepted
    result = repair(path, tmp_path / "b.geojson")
    assert result.features == 2
    ids = [item["id"] for item in json.loads((tmp_path / "b.geojson").read_bytes())["features"]]
    assert len(set(ids)) == 2


def test_many_values_one_after_another_are_read_in_little_time(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    values = (json.dumps({"type": "FeatureCollection", f"m{number}": 1, "features": []}) for number in range(30_000))
    path.write_text("\n".join(values))
    started = time.process_time()
    assert check_file(path).features == 0
    assert time.process_time() - started < 20


def test_kinds_of_geometry_are_counted_by_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    odd = [{**feature(), "geometry": {"type": f"T{number}", "coordinates": []}} for number in range(50)]
    path.write_text(json.dumps([*odd, {**feature(), "geometry": {"type": "Point", "coordinates": [1, 2]}}]))
    assert read_annotations(path).skipped == {"unknown geometry": 50, "Point": 1}


COLLECTION = json.dumps({"type": "FeatureCollection", "features": [feature(classification={"name": "Drüse"})]})
TEXT = json.dumps(json.loads(COLLECTION), ensure_ascii=False)


def zipped(text: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("a.geojson", text)
    return made.getvalue()


@pytest.mark.parametrize("work", [read_annotations, check_file])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.geojson", gzip.compress(TEXT.encode()), "is packed as a .gz file.*geojson.gz"),
        ("a.json", zipped(TEXT), "is packed as a .zip file"),
        ("a.geojson.gz", TEXT.encode(), "ends in .gz, but the file is not packed"),
        ("a.geojson", TEXT.encode("utf-16"), "UTF-16.*UTF-8"),
        ("a.geojson", TEXT.encode("utf-16-le"), "UTF-16.*UTF-8"),
        ("a.geojson", TEXT.encode("utf-16-be"), "UTF-16.*UTF-8"),
        ("a.geojson", TEXT.encode("utf-32"), "UTF-32.*UTF-8"),
        ("a.geojson", TEXT.encode("latin-1"), "Feature 1 .*not in UTF-8.*Latin-1"),
        ("a.geojson", COLLECTION.replace("8, 0", f"{'1' * 5000}, 0").encode(), "Feature 1 .*thousands of digits"),
        ("a.geojson", COLLECTION.replace("{", '{"a": "ü",', 1).encode("latin-1"), "not in UTF-8"),
        ("a.geojson", COLLECTION.replace("{", '{"a": ' + "1" * 5000 + ",", 1).encode(), "thousands of digits"),
    ],
)
def test_why_a_text_cannot_be_read(tmp_path: Path, work: Any, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        work(path)
    assert not {"codec", "int_max_str", "b'"} & set(str(caught.value).split())
    assert len(str(caught.value)) < 300
