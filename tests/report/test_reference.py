"""The reference ranges are what the outlines of the data sets say."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from tests.shared import shared_data_root
from wsi_parse.report.reference import CONSEP, MIN_AREA_UM2, NUCLEAR_AREAS, TNBC

_PIXEL_UM2 = 0.25**2
_TYPES = {
    "nuclei": range(1, 8),
    "neoplastic cells": (4,),
    "epithelial cells": (3,),
    "inflammatory cells": (2,),
    "connective tissue cells": (5, 6, 7),
}


def consep() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    folder = shared_data_root() / "nuclei" / "consep"
    for path in sorted((folder / "inst").glob("*.png")):
        instance, kind = (np.asarray(Image.open(folder / name / path.name)) for name in ("inst", "type"))
        kinds = np.zeros(instance.max() + 1, int)
        kinds[instance.ravel()] = kind.ravel()
        yield np.bincount(instance.ravel())[1:] * _PIXEL_UM2, kinds[1:]


def tnbc() -> Iterator[np.ndarray]:
    for path in sorted((shared_data_root() / "nuclei" / "tnbc" / "masks").glob("*.png")):
        yield np.bincount(label(np.asarray(Image.open(path)) > 0, connectivity=1).ravel())[1:] * _PIXEL_UM2


@pytest.mark.whole
def test_the_ranges_are_those_of_the_outlines() -> None:
    areas, kinds = (np.concatenate(parts) for parts in zip(*consep(), strict=True))
    measured = {(name, CONSEP): areas[np.isin(kinds, [*types])] for name, types in _TYPES.items()}
    measured["nuclei", TNBC] = np.concatenate([*tnbc()])
    assert {(name, one.source) for name, references in NUCLEAR_AREAS.items() for one in references} == measured.keys()
    for name, references in NUCLEAR_AREAS.items():
        for one in references:
            whole = measured[name, one.source]
            whole = whole[whole >= MIN_AREA_UM2]
            assert len(whole) == one.nuclei
            assert np.percentile(whole, (5, 50, 95)).round(1).tolist() == [one.low, one.median, one.high]
