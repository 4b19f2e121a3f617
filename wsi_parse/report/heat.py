"""Heat maps: the density of a prompt's objects over the tissue, or the share that its regions cover."""

import math
from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from wsi_parse.objects.class_table import ClassTable
from wsi_parse.report.lattice import FieldLattice
from wsi_parse.report.numbers import short

#: Standard deviation of the soft window in which objects are counted.
SMOOTH_UM = 64.0
#: Where less of a window is tissue, a density says little.
MIN_TISSUE = 0.15
_STEPS = 254
_SMALLEST_SIDE_PX = 480


@dataclass(frozen=True)
class HeatMap:
    """A heat map, ready for the page.

    Parameters
    ----------
    picture : PIL.Image.Image
        With a palette; transparent where there is no tissue.
    top : float
        The value of the lightest colour; the darkest is 0.
    unit : str
    """

    picture: Image.Image
    top: float
    unit: str

    @property
    def png(self) -> str:
        """The picture, base64."""
        buffer = BytesIO()
        self.picture.save(buffer, "PNG", compress_level=9)
        return b64encode(buffer.getvalue()).decode()

    @property
    def ticks(self) -> tuple[str, str, str]:
        """The numbers under the legend: 0, half, all."""
        return "0", short(self.top / 2, 4), short(self.top, 4)


def heat_maps(lattice: FieldLattice, classes: ClassTable) -> list[HeatMap | None]:
    """Draw a map for each prompt; None for a prompt without objects or a slide without tissue."""
    return [_heat_map(lattice, number, prompt.kind == "region") for number, prompt in enumerate(classes.prompts)]


def _heat_map(lattice: FieldLattice, number: int, is_region: bool) -> HeatMap | None:
    counts = lattice.counts[number]
    step_um2 = lattice.step_um**2
    blur = SMOOTH_UM / lattice.step_um
    tissue = _finer(ndimage.gaussian_filter(lattice.tissue_um2 / step_um2, blur, mode="constant"))
    shown = tissue >= MIN_TISSUE
    if not counts.any() or not shown.any():
        return None
    what = lattice.covered(number) * 100 if is_region else counts / step_um2 * 1e6
    values = _finer(ndimage.gaussian_filter(what, blur, mode="constant")) / np.maximum(tissue, MIN_TISSUE)
    highest = float(values[shown].max())
    top = min(100.0, round_up(highest)) if is_region else round_up(highest)
    index = np.where(shown, 1 + np.rint(np.clip(values / top, 0, 1) * (_STEPS - 1)), 0).astype(np.uint8)
    return HeatMap(_picture(index), top, "% covered" if is_region else "per mm²")


def round_up(value: float) -> float:
    """Return the next number of two digits at most, so that a legend is easy to read.

    >>> round_up(7243.0), round_up(0.0312)
    (7500.0, 0.035)
    """
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit / 5 - 1e-9) * 5 * unit:.6g}")


def palette() -> NDArray[np.uint8]:
    """Return the colours of the maps, uint8 array (254, 3), from dark to light; all eyes tell them apart.

    They are those of viridis (CC0), kept in a file, because importing matplotlib takes longer than drawing a map.
    """
    text = Path(__file__).with_name("viridis.txt").read_text(encoding="ascii")
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(_STEPS, 3)


def _finer(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Enlarge a small map, so that it has smooth edges."""
    factor = max(1, math.ceil(_SMALLEST_SIDE_PX / max(values.shape)))
    size = values.shape[1] * factor, values.shape[0] * factor
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _picture(index: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(index, "P")
    picture.putpalette([0, 0, 0, *palette().ravel().tolist()])
    picture.info["transparency"] = 0
    return picture
