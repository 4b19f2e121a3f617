"""SlideGround: the tissue under a picture whose outlines are in the coordinates of a file."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.annotations.frame import Provenance, stated_offset
from wsi_parse.geometry import Box
from wsi_parse.pictures.page_layout import desaturate
from wsi_parse.pictures.view import View
from wsi_parse.slides.slide import Slide


@dataclass(frozen=True)
class SlideGround:
    """A slide, and where the coordinates of a file start on it.

    Parameters
    ----------
    slide : Slide
    origin_level0 : float array (2,)
        Where (0, 0) of the file lies, in level-0 pixels.
    """

    slide: Slide
    origin_level0: NDArray[np.float64]

    @classmethod
    def of_file(cls, slide: Slide, provenance: Provenance) -> "SlideGround":
        """Place a file on its slide: as it states, else as QuPath does, which crops to the bounds of the slide."""
        stated = stated_offset(provenance)
        return cls(slide, np.array(slide.info.offset_in_qupath, float) if stated is None else stated)

    def picture(self, view: View) -> Image.Image:
        """Read what lies under a view, paler and greyer, RGB; white outside of the slide.

        Parameters
        ----------
        view : View
            In pixels of the file, instead of level-0 pixels.
        """
        box = view.box
        corners = view.frame.to_level0(np.array([(box.x, box.y), (box.right, box.bottom)], float)) + self.origin_level0
        size = self.slide.pixel_size
        frame = self.slide.frame(max(view.frame.scale_x * size.x_um, size.x_um, size.y_um))
        ends = frame.from_level0(corners)
        (left, top), (right, bottom) = np.floor(ends[0]).tolist(), np.ceil(ends[1]).tolist()
        around = Box.from_corners(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
        inside = around.intersection(frame.box)
        sheet = Image.new("RGB", (around.width, around.height), (255, 255, 255))
        if inside.area:
            pixels = self.slide.read_readable(inside, frame).pixels
            sheet.paste(Image.fromarray(pixels), (inside.x - around.x, inside.y - around.y))
        part = (ends - (around.x, around.y)).ravel().tolist()
        wanted = (part[0], part[1], part[2], part[3])
        return desaturate(sheet.resize((box.width, box.height), Image.Resampling.BILINEAR, box=wanted))
