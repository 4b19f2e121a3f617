"""The memory that the outline of a tissue with many holes takes: as one polygon of GEOS, it was three times as much.

In a region of interest it was fifteen times as much.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

_MEASURE = """
import json, resource, sys
from pathlib import Path

import numpy as np
import shapely

from tests.exporters.made import context
from wsi_parse.exporters.areas import TISSUE, write_areas
from wsi_parse.geometry import Frame
from wsi_parse.objects.tissue_outline import tissue_outline
from wsi_parse.tissue.mask import TissueMask

def outlined(side):
    mask = np.zeros((side, side), bool)
    mask[1:-1, 1:-1] = True
    for row, column in np.ndindex(2, 2):
        mask[4 + row : -6 : 5, 4 + column : -6 : 5] = False
    far = 32 * side
    region = shapely.Polygon([(99, 101), (far - 103, 77), (far - 301, far - 99), (87, far - 83)])
    tissue = TissueMask(mask, Frame(side, side, 8.0, 8.0, 32.0, 32.0), region if sys.argv[2] == "region" else None)
    assert tissue.area_mm2 > 0
    assert sum(len(rings) for rings in tissue.rings_level0()) > side
    write_areas(Path(sys.argv[1]), tissue_outline(tissue), TISSUE, context())
    return len(tissue.rings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(json.dumps([outlined(300), outlined(2000)]))
"""


@pytest.mark.parametrize("where", ["everywhere", "region"])
def test_bytes_for_each_ring(tmp_path: Path, where: str) -> None:
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "tissue.geojson"), where]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (few, before), (many, after) = json.loads(done.stdout)
    assert many > 150_000
    assert (after - before) / (many - few) < 1000, done.stdout
