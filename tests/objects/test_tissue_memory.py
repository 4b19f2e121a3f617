"""The memory that the outline of a tissue with many holes takes: as one polygon of GEOS, it was three times as much."""

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
    tissue = TissueMask(mask, Frame(side, side, 8.0, 8.0, 32.0, 32.0))
    write_areas(Path(sys.argv[1]), tissue_outline(tissue), TISSUE, context())
    return len(tissue.rings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(json.dumps([outlined(300), outlined(2000)]))
"""


def test_bytes_for_each_ring(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / "tissue.geojson")], check=True, capture_output=True, text=True
    )
    (few, before), (many, after) = json.loads(done.stdout)
    assert many > 150_000
    assert (after - before) / (many - few) < 1000
