"""The site of the documentation: `make docs`. Its source is the repository itself.

So every page is a Markdown file whose links and pictures work on a code host, too. What Sphinx adds is the navigation
below, the reference from docstrings and from the command line, and the search. No page asks anything of another server.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "docs" / "_site"))

from wsi_parse import __version__  # noqa: E402 - found by the line above

NAVIGATION = {
    "First steps": ["docs/tutorial", "docs/guide"],
    "Guides": [
        "docs/scale",
        "docs/classes",
        "docs/models",
        "docs/slides",
        "docs/qupath",
        "docs/viewer",
        "workflows/qupath/README",
        "docs/clusters",
        "workflows/README",
        "docs/python",
        "docs/containers",
        "CONTRIBUTING",
    ],
    "Reference": [
        "docs/reference/commands",
        "docs/reference/settings",
        "docs/reference/python",
        "docs/reference/plugins",
    ],
    "Background": [
        "docs/limits",
        "docs/stitching",
        "docs/memory",
        "docs/measured",
        "docs/speed",
        "wsi_parse/models/mini/CARD",
        "docs/architecture",
        "docs/decisions/README",
    ],
    "Project": [
        "docs/test-data",
        "workflows/train_mini/README",
        "docs/mini_trials",
        "workflows/pixel_size/README",
        "SECURITY",
        "CHANGELOG",
    ],
}

project = "wsi-parse"
author = copyright = "The wsi-parse developers"
version = release = __version__

root_doc = "README"
include_patterns = [f"{page}.md" for pages in NAVIGATION.values() for page in pages]
include_patterns += ["README.md", "docs/decisions/*.md"]
# Folders that are not looked into.
exclude_patterns = [".*", "build", "dist", "tests", "benchmarks", "configs", "**/__pycache__"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_reference"]
myst_heading_anchors = 4
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

smartquotes = False
highlight_language = "none"

html_theme = "furo"
html_title = f"wsi-parse {__version__}"
html_additional_pages = {"index": "to_readme.html"}
templates_path = ["_site"]
html_copy_source = False
html_show_sphinx = False


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the front page the tree of all pages, which a code host would show as a block of text."""
    if page == root_doc:
        for caption, pages in NAVIGATION.items():
            listed = "\n".join(f"/{one}" for one in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
    if page == "docs/decisions/README":
        listed = "\n".join(f"/docs/decisions/{one.stem}" for one in sorted((ROOT / "docs" / "decisions").glob("0*.md")))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("source-read", add_navigation)
