"""DICOM Microscopy Bulk Simple Annotations of the objects, by highdicom: one annotation group per class."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse._version import __version__
from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.exporters.dicom_source import source_image, uid_of
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ObjectClass
from wsi_parse.text import RESEARCH_ONLY

if TYPE_CHECKING:
    from highdicom.ann import AnnotationGroup

# The standard requires a time. The current time would make outputs of the same run differ, and the time of the slide
# could identify a patient.
_NO_DATE, _NO_TIME = "19700101", "000000"
_SCHEME = "99WSIPARSE"
_LABEL_LETTERS, _MEANING_LETTERS = 64, 64


@dataclass
class _Rings:
    """Closed lines of one annotation group, one item per batch."""

    points: list[NDArray[np.float64]] = field(default_factory=list)
    sizes: list[NDArray[np.int64]] = field(default_factory=list)
    areas_um2: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)


class DicomExporter(StreamingExporter):
    """Polygons in level-0 pixels of the slide, with area and the row of the object in ``objects.parquet``.

    Notes
    -----
    Coordinates are 2D, from the top left corner of the whole pixel matrix: the slide's bounds are not subtracted.
    float32 where that is exact (quarter pixels are, up to 4,194,304 px), else float64.

    A POLYGON of DICOM is one closed line without holes. So each part of an object is an annotation with its outer line;
    holes are annotations in a separate group named "CLASS (holes)". The area of a part excludes its holes.
    ``object_row`` tells which lines belong to one object. If nuclei were expanded to cells, a group holds the nuclei,
    and "CLASS (cells)" their cells.

    Patient and study are left empty; of a DICOM slide only the UIDs are kept that a viewer needs to find it. The date
    is 1970-01-01, so that files of the same run are equal. A run that found nothing has no group.

    Memory: highdicom takes all objects at once: 1.5 GB for a million cells of 24 points.
    """

    file_name: ClassVar[str] = "annotations.dcm"
    needs_slide: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("highdicom",)
    extra: ClassVar[str] = "dicom"

    def __init__(self, path: Path, context: ExportContext) -> None:
        super().__init__(path, context)
        # By the row of the class, and the part of the object: "" (the outline), "cells", "holes", "holes of cells".
        self._rings: dict[tuple[int, str], _Rings] = {}
        self._count = 0
        slide = context.provenance["slide"]
        self._pixel_um2 = float(slide["mpp_x_um"]) * float(slide["mpp_y_um"])

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        del stack
        self._temporary = temporary
        # At the beginning, so that a slide that cannot be referred to is reported at once.
        self._source = source_image(self.context.source, self.context.provenance["slide"])

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        rows = np.arange(self._count, self._count + len(batch))
        self._count += len(batch)
        for index in np.unique(batch.class_index).tolist():
            mine = batch.class_index == index
            if batch.nuclei is None:
                self._add_areas(index, "", batch.geometry[mine], rows[mine])
            else:
                self._add_areas(index, "", batch.nuclei[mine], rows[mine])
                self._add_areas(index, "cells", batch.geometry[mine], rows[mine])

    def _add_areas(self, index: int, what: str, shapes: NDArray[np.object_], rows: NDArray[np.int64]) -> None:
        parts, of = shapely.get_parts(shapes, return_index=True)
        self._add((index, what), shapely.get_exterior_ring(parts), shapely.area(parts), rows[of])
        rings, part = shapely.get_rings(parts, return_index=True)
        inner = np.append(False, part[1:] == part[:-1])
        if inner.any():
            holes = rings[inner]
            of_what = f"holes of {what}" if what else "holes"
            self._add((index, of_what), holes, shapely.area(shapely.polygons(holes)), rows[of[part[inner]]])

    def _add(
        self, group: tuple[int, str], rings: NDArray[Any], areas_px: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> None:
        points, ring = shapely.get_coordinates(rings, return_index=True)
        # The last point repeats the first, which DICOM does not allow.
        last = np.append(ring[1:] != ring[:-1], True)
        kept = self._rings.setdefault(group, _Rings())
        kept.points.append(points[~last])
        kept.sizes.append(np.bincount(ring) - 1)
        kept.areas_um2.append(areas_px * self._pixel_um2)
        kept.rows.append(rows)

    def _finish(self) -> None:
        from highdicom.ann import MicroscopyBulkSimpleAnnotations

        groups = [self._group(number, key) for number, key in enumerate(sorted(self._rings), 1)]
        digest = str(self.context.provenance.get("digest", ""))
        content = hashlib.sha256(digest.encode())
        for group in groups:
            content.update(group.AnnotationGroupUID.encode())
        file = MicroscopyBulkSimpleAnnotations(
            source_images=[self._source],
            annotation_coordinate_type="2D",
            annotation_groups=groups,
            series_instance_uid=uid_of("series", self._source.SOPInstanceUID, digest),
            series_number=1,
            sop_instance_uid=uid_of("instance", self._source.SOPInstanceUID, content.hexdigest()),
            instance_number=1,
            manufacturer="wsi-parse",
            manufacturer_model_name="wsi-parse",
            software_versions=__version__,
            device_serial_number="none",
            content_label="WSI_PARSE",
            content_description=RESEARCH_ONLY,
            specific_character_set="ISO_IR 192",
            series_description=RESEARCH_ONLY,
            content_date=_NO_DATE,
            content_time=_NO_TIME,
        )
        del file.InstanceCreationDate, file.InstanceCreationTime
        for item in file.ContributingEquipmentSequence:
            del item.ContributionDateTime
        file.save_as(self._temporary, enforce_file_format=True)

    def _group(self, number: int, key: tuple[int, str]) -> "AnnotationGroup":
        from highdicom.ann import AnnotationGroup, Measurements
        from highdicom.color import CIELabColor
        from highdicom.sr import CodedConcept
        from pydicom.sr.codedict import codes

        # Removed, so that it is not held twice.
        rings, row = self._rings.pop(key), self.context.classes.rows[key[0]]
        points = _exact(np.concatenate(rings.points))
        sizes, areas = np.concatenate(rings.sizes), np.concatenate(rings.areas_um2)
        rows = np.concatenate(rings.rows)
        label = _label(row, key[1])
        digest = hashlib.sha256(b"".join(part.tobytes() for part in (points, sizes, areas, rows))).hexdigest()
        object_row = CodedConcept("object_row", _SCHEME, "Row of the object in objects.parquet")
        return AnnotationGroup(
            number=number,
            uid=uid_of("group", self._source.SOPInstanceUID, label, digest),
            label=label,
            description=f"{row.prompt.text}; {RESEARCH_ONLY}",
            annotated_property_category=codes.SCT.AnatomicalStructure,
            annotated_property_type=_type_of(row.prompt.name, key[1]),
            graphic_type="POLYGON",
            graphic_data=np.split(points, np.cumsum(sizes)[:-1]),
            algorithm_type="AUTOMATIC",
            algorithm_identification=self._algorithm(),
            measurements=[
                Measurements(codes.SCT.Area, areas, codes.UCUM.SquareMicrometer),
                Measurements(object_row, rows.astype(np.float64), codes.UCUM.NoUnits),
            ],
            display_color=CIELabColor.from_rgb(*row.colour),
        )

    def _algorithm(self) -> Any:  # noqa: ANN401 - highdicom's sequence
        from highdicom import AlgorithmIdentificationSequence
        from pydicom.sr.codedict import codes

        provenance = self.context.provenance
        model = provenance.get("model", {})
        facts = {
            "model": model.get("name"),
            "weights_sha256": model.get("weights_sha256"),
            "digest": provenance.get("digest"),
            "slide": provenance["slide"].get("name"),
        }
        return AlgorithmIdentificationSequence(
            "wsi-parse",
            codes.DCM.ArtificialIntelligence,
            __version__,
            parameters={name: str(value) for name, value in facts.items() if value is not None},
        )


def _exact(points: NDArray[np.float64]) -> NDArray[np.float32] | NDArray[np.float64]:
    """Convert to float32 if no precision is lost."""
    single = points.astype(np.float32)
    return single if np.array_equal(single, points) else points


def _label(row: ObjectClass, what: str) -> str:
    end = f" ({what})" if what else ""
    return row.name[: _LABEL_LETTERS - len(end)] + end


def _type_of(prompt_name: str, what: str) -> Any:  # noqa: ANN401 - a code of pydicom or highdicom
    """Return the code of what is annotated: that of the standard for nuclei, else one of our own scheme."""
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    if prompt_name == "nuclei" and not what:
        return codes.SCT.Nucleus
    meaning = f"{prompt_name} ({what})" if what else prompt_name
    value = hashlib.blake2b(meaning.encode(), digest_size=8).hexdigest()
    return CodedConcept(value, _SCHEME, meaning[:_MEANING_LETTERS])
