"""The image that DICOM annotations refer to: identifiers of the slide, and no patient data."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsi_parse.errors import SlideReadError
from wsi_parse.slides.dicom_series import series_files, series_of

if TYPE_CHECKING:
    from pydicom import Dataset

_NAMESPACE = uuid.UUID("0d4b1c62-7f0e-5c8e-8a0f-3f7a2a9d6e41")
_WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_IDENTIFIERS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
)
_SIZES = ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")
# Required by the standard, but may be empty.
_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


def uid_of(*parts: str) -> str:
    """Make a DICOM UID from texts; the same texts give the same UID."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def source_image(path: Path | None, slide: Mapping[str, Any]) -> "Dataset":
    """Describe the slide as an image that annotations can refer to.

    Parameters
    ----------
    path : Path or None
        The slide; of a DICOM slide, any of its files.
    slide : mapping
        Its provenance: fingerprint, width_px, height_px.

    Returns
    -------
    pydicom Dataset
        For a DICOM slide: the identifiers of the instance that holds level 0, by which a viewer finds it. For any other
        slide: identifiers made from its content. Patient, study and specimen stay empty.

    Raises
    ------
    SlideReadError
        If a DICOM slide has no such instance.
    """
    from pydicom import Dataset

    image = Dataset()
    image.Modality = "SM"
    for name in _EMPTY:
        setattr(image, name, "")
    if path is not None and path.is_file() and series_of(path) is not None:
        found = _level0(path, int(slide["width_px"]), int(slide["height_px"]))
        for name in _IDENTIFIERS:
            setattr(image, name, found[name].value)
        return image
    mark = str(slide.get("fingerprint", slide.get("name", "")))
    image.SOPClassUID = _WHOLE_SLIDE_IMAGE
    for name in _IDENTIFIERS[1:]:
        setattr(image, name, uid_of(name, mark))
    return image


def _header(file: Path) -> "Dataset":
    """Read the identifiers of a file of the slide."""
    from pydicom import dcmread

    tags = [*_IDENTIFIERS, *_SIZES, "ImageType"]
    try:
        return dcmread(file, stop_before_pixels=True, specific_tags=tags)
    except Exception as error:
        # The parser raises what it likes on a damaged header.
        raise SlideReadError(
            f"The header of {file.name}, a file of the slide, cannot be read: {error}.",
            "Choose other formats than dicom, or copy the slide again from its source.",
        ) from error


def _level0(path: Path, width: int, height: int) -> "Dataset":
    found = []
    for file in series_files(path):
        image = _header(file)
        kind = [str(word) for word in image.get("ImageType") or ()]
        if "VOLUME" in kind and tuple(image.get(name) for name in _SIZES) == (width, height):
            found.append(image)
    if not found:
        raise SlideReadError(
            f"No instance of the series of {path.name} is a volume image of {width} x {height} px.",
            "Choose other formats than dicom.",
        )
    return min(found, key=lambda image: str(image.SOPInstanceUID))
