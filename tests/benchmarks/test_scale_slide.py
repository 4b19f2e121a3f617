"""The painted slide of the benchmarks can be written in each form, and the product reads the same pixels from it."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from benchmarks.scale_slide import ENDINGS, MPP, Form, ScaleSlide, write
from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide

_SIDE = 1500
# Colours after JPEG at quality 92, which all forms but strips are stored in.
_JPEG = 12


@pytest.mark.parametrize("form", get_args(Form))
def test_each_form_is_read_as_it_was_painted(tmp_path: Path, form: Form) -> None:
    painted = ScaleSlide(_SIDE)
    path = tmp_path / f"slide{ENDINGS[form]}"
    write(painted, path, 256, form)
    truth = painted.coloured(painted.band(256, 512), 0, 256, 1)
    with open_slide(path) as slide:
        read = slide.read(Box(0, 256, _SIDE, 512))
        assert slide.dimensions == (_SIDE, _SIDE)
        assert slide.pixel_size.x_um == pytest.approx(MPP) == slide.pixel_size.y_um
    away = np.abs(read.astype(int) - truth).max()
    assert away == 0 if form == "strips" else away <= _JPEG
