"""The published statistic, computed as published: a measurement of tiles with a mask, and of nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, ks_1samp

from wsi_parse.errors import WeightsError
from wsi_parse.models.biomedparse.existence import TargetDistributions, likelihood, mask_means, summarise

PARAMETERS = np.array([[20.0, 3.0], [8.0, 5.0], [5.0, 6.0], [9.0, 4.0]])


def published(path: Path, **changed: object) -> Path:
    content = {"CT-Abdomen": {"liver": [[1, 1]] * 4}, "Pathology": {"neoplastic cells": PARAMETERS.tolist(), **changed}}
    path.write_text(json.dumps(content))
    return path


def test_p_is_that_of_four_tests_of_one_sample() -> None:
    """Upstream: Kolmogorov-Smirnov tests of a single value, multiplied, to the fourth root."""
    rng = np.random.default_rng(0)
    means = rng.uniform(100, 230, (20, 4))
    expected = [
        np.prod([ks_1samp([x / 256], beta(*ab).cdf).pvalue for x, ab in zip(row, PARAMETERS, strict=True)]) ** 0.25
        for row in means
    ]
    assert likelihood(means, PARAMETERS) == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("stride", [1, 3])
def test_means_are_over_the_mask(stride: int) -> None:
    rng = np.random.default_rng(1)
    probability = rng.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    probability[1] = 127
    images = rng.integers(0, 256, (3, 16 * stride, 16 * stride, 3), dtype=np.uint8)
    means = mask_means(images, probability)
    assert means[1].tolist() == [0, 0, 0, 0, 0]
    large = probability.repeat(stride, axis=1).repeat(stride, axis=2)
    for number in (0, 2):
        mask = large[number] >= 128
        assert means[number, 0] == (probability[number] >= 128).sum()
        assert means[number, 1] == pytest.approx(large[number][mask].mean(), abs=1e-2)
        assert means[number, 2:] == pytest.approx(images[number][mask].mean(axis=0), abs=1e-2)


def test_a_slide_is_told_by_its_tiles_with_a_mask() -> None:
    likely = 256 * PARAMETERS[:, 0] / PARAMETERS.sum(axis=1)
    noted = np.array([[0, 0, 0, 0, 0], [50, *likely], [9, *likely], [7, 130, 255, 255, 1]])
    summary = summarise(noted, PARAMETERS)
    assert (summary["tiles"], summary["tiles_with_mask"]) == (4, 3)
    assert summary["share_below_0.05"] == pytest.approx(1 / 3, abs=1e-4)
    assert summary["p_median"] > 0.5
    assert summary["sentence"].startswith(
        "In 33% of 3 tiles, the masks differ from those of the training data (p < 0.05)."
    )
    assert summarise(noted[:1], PARAMETERS)["p_median"] is None
    assert summarise(noted[:1], PARAMETERS)["sentence"] == ""


def test_the_file_is_read_or_refused(tmp_path: Path) -> None:
    known = TargetDistributions.load(published(tmp_path / "a.json"))
    assert np.array_equal(known.of("neoplastic cells"), PARAMETERS)  # type: ignore[arg-type]
    assert known.of("liver") is None
    with pytest.raises(WeightsError, match="'odd'"):
        TargetDistributions.load(published(tmp_path / "b.json", odd=[[1, 2]]))
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(WeightsError, match=r"c\.json"):
        TargetDistributions.load(tmp_path / "c.json")
