"""The picture at the top of the README, from real tissue: `python -m benchmarks.hero`.

The slide is the one of `wsi-parse demo --real`: skin from OpenSlide's test data (CC0), downloaded once into the cache.
The picture is the product's own overlay, with a close-up of the busiest field; it is only saved as JPEG.
"""

import argparse
import tempfile
from pathlib import Path

import wsi_parse
from wsi_parse.cli.real_slide import real_slide
from wsi_parse.settings import RunSettings

_DOCS = Path(__file__).resolve().parents[1] / "docs"
# Small enough that a close-up shows more than the slide does.
_OVERLAY_PX = 1000


def draw(slide: Path, path: Path) -> int:
    """Find the nuclei of the slide, write their picture as JPEG, and return how many there are."""
    settings = RunSettings.load(
        prompts=("nuclei",), model={"name": "mini", "organ": "skin"}, export={"overlay_px": _OVERLAY_PX}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = wsi_parse.segment_slide(slide, folder, settings)
        run.thumbnail().save(path, quality=88, optimize=True)
        return run.counts["nuclei"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hero", description=__doc__)
    parser.add_argument("--slide", type=Path, help="the slide, if it is on this machine; default: it is downloaded")
    parser.add_argument(
        "-o", "--out", type=Path, default=_DOCS / "overlay_skin.jpg", help="default: docs/overlay_skin.jpg"
    )
    given = parser.parse_args()
    print(f"{draw(given.slide or real_slide(), given.out):,} nuclei → {given.out}")


if __name__ == "__main__":
    main()
