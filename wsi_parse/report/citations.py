"""Citations: what to cite for a run, as plain references and as BibTeX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wsi_parse.models.contract import ModelSpec


@dataclass(frozen=True)
class Citation:
    """One work to cite.

    Parameters
    ----------
    reference : str
        For a list of references.
    bibtex : str
        An entry.
    """

    reference: str
    bibtex: str


def citations(manifest: Mapping[str, Any], of_model: Citation | None = None) -> tuple[Citation, ...]:
    """Return what to cite for a run: this program, the work behind the model, the reader of the slide, and QuPath.

    Parameters
    ----------
    manifest : mapping
        The content of run.json.
    of_model : Citation, optional
        Of a model that was published by itself.
    """
    found = [_program(str(manifest["wsi_parse"]))]
    if of_model is not None:
        found.append(of_model)
    if manifest["slide"].get("reader") == "openslide":
        found.append(_OPENSLIDE)
    return (*found, _QUPATH)


def of_spec(spec: ModelSpec) -> Citation | None:
    """Return the publication behind a model; None if it names none."""
    return Citation(spec.reference, spec.bibtex) if spec.reference else None


def _program(version: str) -> Citation:
    title = "wsi-parse: words and a gigapixel slide in, polygons to review in QuPath out"
    return Citation(
        f"The wsi-parse developers. {title}. Version {version}.",
        "@software{wsi_parse,\n"
        "  author  = {{The wsi-parse developers}},\n"
        f"  title   = {{{title}}},\n"
        f"  version = {{{version}}},\n"
        "  license = {Apache-2.0}\n"
        "}",
    )


_OPENSLIDE = Citation(
    "Goode A, Gilbert B, Harkes J, Jukic D, Satyanarayanan M. OpenSlide: A vendor-neutral software foundation for "
    "digital pathology. Journal of Pathology Informatics 4:27 (2013). doi:10.4103/2153-3539.119005",
    "@article{goode2013openslide,\n"
    "  author  = {Goode, Adam and Gilbert, Benjamin and Harkes, Jan and Jukic, Drazen and Satyanarayanan, Mahadev},\n"
    "  title   = {{OpenSlide}: A vendor-neutral software foundation for digital pathology},\n"
    "  journal = {Journal of Pathology Informatics},\n"
    "  volume  = {4},\n"
    "  pages   = {27},\n"
    "  year    = {2013},\n"
    "  doi     = {10.4103/2153-3539.119005}\n"
    "}",
)
_QUPATH = Citation(
    "Bankhead P, Loughrey MB, Fernández JA, et al. QuPath: Open source software for digital pathology image analysis. "
    "Scientific Reports 7:16878 (2017). doi:10.1038/s41598-017-17204-5 (if you reviewed the result in QuPath)",
    "@article{bankhead2017qupath,\n"
    "  author  = {Bankhead, Peter and Loughrey, Maurice B. and Fern{\\'a}ndez, Jos{\\'e} A. and others},\n"
    "  title   = {{QuPath}: Open source software for digital pathology image analysis},\n"
    "  journal = {Scientific Reports},\n"
    "  volume  = {7},\n"
    "  pages   = {16878},\n"
    "  year    = {2017},\n"
    "  doi     = {10.1038/s41598-017-17204-5}\n"
    "}",
)
