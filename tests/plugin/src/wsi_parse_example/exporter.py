"""ExampleExporter: the ids of all objects and their classes, line by line."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

from wsi_parse.exporters.base import StreamingExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.settings import ExportSettings
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse_example.failing import fail


class ExampleExporter(StreamingExporter):
    file_name: ClassVar = "example.txt"
    _file: IO[str]
    _count = 0

    @classmethod
    def path_in(cls, folder: Path, settings: ExportSettings) -> Path:
        return folder / f"example.txt.{settings.frame}"

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._file = stack.enter_context(temporary.open("w", encoding="utf-8"))
        self._file.write(f"# {RESEARCH_ONLY}\n")

    def write(self, batch: ObjectBatch) -> None:
        fail("write")
        self._count += len(batch)
        for one, index in zip(batch.ids, batch.class_index.tolist(), strict=True):
            self._file.write(f"{one}\t{self.context.classes.rows[index].name}\n")

    def _finish(self) -> None:
        self._file.write("# end\n")

    def notes(self) -> Sequence[str]:
        return (f"The example lists {self._count} objects.",)

    def facts(self) -> Mapping[str, Any]:
        return {"how_to_open": "read it aloud", "lines": self._count}
