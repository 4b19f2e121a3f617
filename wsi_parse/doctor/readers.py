"""Whether each reader opens a small slide that is made on the spot, with the right pixels and pixel size."""

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from wsi_parse.doctor.finding import Finding
from wsi_parse.errors import PluginError, WsiParseError
from wsi_parse.registry import READERS
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_generic_tiff, write_ome_tiff, write_svs_like

_SIDE_PX = 256
_MPP_UM = 0.25
_SLIDE = SyntheticSlide(_SIDE_PX, _SIDE_PX, mpp=_MPP_UM, seed=5, tissue=0.9)


def check_readers(check: str) -> Iterator[Finding]:
    """Open one small slide for each format that we can write, then say what each reader knows."""
    with TemporaryDirectory(prefix="wsi-parse-doctor-", ignore_cleanup_errors=True) as name:
        for kind, path in _small_slides(Path(name)):
            yield _opened(check, kind, path)
    yield _libraries(check)
    yield _opencv(check)
    for name in READERS.names():
        yield _installed(check, name)


def _small_slides(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write slides without loss, kind by kind."""
    options = {"downsamples": (1, 2), "compression": "deflate"}
    aperio, generic, ome, picture = (folder / name for name in ("a.svs", "b.tif", "c.ome.tif", "d.png"))
    write_svs_like(aperio, _SLIDE, **options)  # type: ignore[arg-type]
    yield "Aperio SVS", aperio
    write_generic_tiff(generic, _SLIDE, **options)  # type: ignore[arg-type]
    yield "pyramidal TIFF", generic
    write_ome_tiff(ome, _SLIDE, **options)  # type: ignore[arg-type]
    yield "OME-TIFF", ome
    Image.fromarray(_SLIDE.pixels(_SLIDE.box)).save(picture)
    yield "PNG", picture


def _opened(check: str, kind: str, path: Path) -> Finding:
    # A picture has no pixel size of its own.
    is_picture = path.suffix == ".png"
    try:
        with open_slide(path, SlideOptions(_MPP_UM if is_picture else None)) as slide:
            reader = slide.info.reader
            mpp_um = slide.pixel_size.x_um
            frame = slide.frame(_MPP_UM)
            pixels = slide.read(frame.box, frame)
    except WsiParseError as error:
        return Finding(check, kind, "fail", f"A small {kind} cannot be read: {error.message}", _REINSTALL)
    facts = {"reader": reader, "mpp_um": mpp_um}
    if abs(mpp_um - _MPP_UM) > 1e-3 or not np.array_equal(pixels, _SLIDE.pixels(_SLIDE.box)):
        return Finding(check, kind, "fail", f"{reader} reads a small {kind} with wrong pixels.", _REINSTALL, facts)
    return Finding(
        check, kind, "ok", f"A small {kind} was written, and read back by {reader} pixel by pixel.", "", facts
    )


_LIBRARIES = ("openslide-python", "openslide-bin", "tiffslide", "tifffile", "imagecodecs", "pillow")
_REINSTALL = f"pip install --force-reinstall {' '.join(_LIBRARIES)}"


def _libraries(check: str) -> Finding:
    import openslide

    found = {name: number for name in _LIBRARIES if (number := _version(name))}
    text = f"OpenSlide {openslide.__library_version__}; " + ", ".join(f"{name} {each}" for name, each in found.items())
    return Finding(check, "libraries", "ok", text, facts={"openslide": openslide.__library_version__, **found})


def _opencv(check: str) -> Finding:
    """Say whether what is only faster can be had: another distribution of OpenCV replaces files of ours."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        text = f"OpenCV cannot be imported ({error}): reading and finding tissue take longer, and give the same."
        # Of its distributions, the last one that is installed wins.
        return Finding(check, "OpenCV", "warn", text, "pip install --force-reinstall opencv-python-headless")
    return Finding(
        check, "OpenCV", "ok", f"OpenCV {cv2.__version__} makes reading faster.", "", {"cv2": cv2.__version__}
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _installed(check: str, name: str) -> Finding:
    try:
        kind = READERS.get(name)
    except PluginError as error:
        # Of another package: ours still work.
        return Finding(check, name, "warn", error.message, error.remedy)
    origin = READERS.package_of(name)
    text = f"The reader {name}{f' of {origin}' if origin else ''} knows {' '.join(kind.suffixes)}"
    return Finding(check, name, "ok", text, facts={"package": origin or None, "suffixes": list(kind.suffixes)})
