"""Plots of the page: SVG that a browser takes, with all of it inside the picture; matplotlib is not needed."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colormaps

from wsi_parse.report.heat import palette
from wsi_parse.report.histograms import Distribution
from wsi_parse.report.plots import area_plot, probability_plot, ticks
from wsi_parse.report.reference import NUCLEAR_AREAS


def distribution(values: dict[int, tuple[int, int]], bins: int = 1000, width: float = 0.5) -> Distribution:
    counts = np.zeros((2, bins), np.int64)
    for index, both in values.items():
        counts[:, index] = both
    return Distribution("area_um2" if width == 0.5 else "class_probability", width, counts)


@pytest.mark.parametrize(
    "plot",
    [
        area_plot(distribution({60: (900, 100), 90: (2_000, 0), 999: (1, 0)}), NUCLEAR_AREAS["nuclei"]),
        area_plot(distribution({3: (1, 0)}), ()),
        area_plot(distribution({999: (1_000_000, 3)}), ()),
        probability_plot(distribution({49: (5, 0), 10: (0, 2)}, 50, 0.02), 0.82),
    ],
)
def test_a_plot_stays_inside_its_picture(plot: str) -> None:
    root = ElementTree.fromstring(plot)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for path in root.iter("path"):
        x, y = 0.0, 0.0
        for letter, numbers in re.findall(r"([MHVhv])([-\d. e]*)", path.attrib["d"]):
            first, *rest = map(float, numbers.split())
            x = {"M": first, "H": first, "h": x + first}.get(letter, x)
            y = {"M": rest[0] if rest else y, "V": first, "v": y + first}.get(letter, y)
            assert 0 <= x <= width
            assert 0 <= y <= height
    for text in root.iter("text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert text.text


def test_a_plot_shows_references_limit_and_numbers() -> None:
    areas = area_plot(distribution({60: (900, 100)}), NUCLEAR_AREAS["nuclei"])
    assert (areas.count("var(--band)"), areas.count("stroke-dasharray")) == (2, 2)
    assert ">area in µm²<" in areas
    assert ">1,000<" in areas
    assert "stroke-dasharray" not in probability_plot(distribution({40: (5, 5)}, 50, 0.02), None)
    assert probability_plot(distribution({40: (5, 5)}, 50, 0.02), 0.5).count("stroke-dasharray") == 1


@pytest.mark.parametrize("high", [0.7, 1.0, 1.08, 3.3, 77.0, 99.9, 1e6, 1.08e6])
def test_ticks_are_even_and_few(high: float) -> None:
    for most, least in ((4, 1.0), (9, 0.0)):
        found = ticks(high, most, least)
        assert found[0] == 0
        assert len(found) <= most + 1
        assert found[-1] <= high * (1 + 1e-9)
        steps = np.diff(found)
        assert np.allclose(steps, steps[:1])
        assert least == 0 or all(value == round(value) for value in found)


def test_the_colours_of_the_maps_are_those_of_viridis() -> None:
    wanted = np.rint(colormaps["viridis"](np.linspace(0, 1, 254))[:, :3] * 255)
    assert np.array_equal(palette(), wanted)


def test_plots_and_maps_do_without_matplotlib() -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from wsi_parse.report import heat, page; heat.palette()"
    subprocess.run([sys.executable, "-c", code], check=True)
