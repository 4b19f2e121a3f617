"""The lowest versions that pyproject.toml allows, and constraints-lowest.txt made from them: `make lowest`."""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints-lowest.txt"
# What a part of the tests needs. ome-zarr-models and snakemake are left out: they want newer versions of what we need.
TOOLS = ("pytest", "hypothesis", "geojson", "geopandas")
EXTRAS = ("cluster", "dicom")


def requirements() -> list[Requirement]:
    """What the package, its extras (those that are tested here) and the tests ask for."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    listed = list(project["dependencies"])
    for name in EXTRAS:
        listed += project["optional-dependencies"][name]
    tests = [Requirement(item) for item in pyproject["dependency-groups"]["test"]]
    return [Requirement(item) for item in listed] + [item for item in tests if item.name in TOOLS]


def bounds() -> dict[str, str]:
    """Name -> lower bound of each requirement. One without a lower bound is an error."""
    found = {}
    for item in requirements():
        lower = [part.version for part in item.specifier if part.operator == ">="]
        if len(lower) != 1:
            raise ValueError(f"{item} has no lower bound")
        found[item.name] = lower[0]
    return found


def pins() -> dict[str, str]:
    """Name -> version, as constraints-lowest.txt has them."""
    return dict(line.split("==") for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines())


def renew() -> None:
    """Ask pip what else is installed with the lowest versions, and pin all of it; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        exact, report = Path(folder) / "exact.txt", Path(folder) / "report.json"
        exact.write_text("\n".join(f"{name}=={version}" for name, version in bounds().items()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*pip, "--report", str(report), "--requirement", str(exact)], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    found.sort(key=lambda item: item["name"].lower())
    lines = [f"{item['name']}=={item['version'].partition('+')[0]}\n" for item in found]
    CONSTRAINTS.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    renew()
