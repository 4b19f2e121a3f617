"""Targets that BiomedParse was trained on in pathology, with their scale and prompts.

Scales: its cells are PanNuke's (256 px at 0.25 um/px), its glands GlaS's (775 px at 0.62 um/px, enlarged to 1024).
Organs: the model card's list.
"""

from dataclasses import dataclass

from wsi_parse.errors import SettingsError, closest, did_you_mean
from wsi_parse.prompts import Kind, Prompt

CELLS = ("neoplastic cells", "epithelial cells", "connective tissue cells", "inflammatory cells")
GLANDS = ("glandular structure",)
KNOWN = (*CELLS, *GLANDS)

_OF_ORGAN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("bladder", "cervix", "esophagus", "kidney", "prostate", "skin", "stomach", "uterus"), ("neoplastic cells",)
    ),
    **dict.fromkeys(("breast", "liver", "ovarian", "thyroid"), ("epithelial cells", "neoplastic cells")),
    "colon": ("glandular structure", "neoplastic cells"),
    "testis": ("epithelial cells",),
}
_ORGAN_SYNONYMS = {
    "cervical": "cervix",
    "colorectal": "colon",
    "gastric": "stomach",
    "hepatic": "liver",
    "oesophagus": "esophagus",
    "ovary": "ovarian",
    "renal": "kidney",
    "testicular": "testis",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of the training images for a kind of target.

    Parameters
    ----------
    field_um : float
        Side of an image.
    mpp : float
        Microns per pixel of the images, before they were enlarged.
    """

    field_um: float
    mpp: float


SCALES: dict[Kind, Scale] = {"cell": Scale(64.0, 0.25), "region": Scale(480.0, 0.625)}


def organ_name(organ: str) -> str:
    """Resolve an organ's synonyms and its spelling.

    >>> organ_name(" Colorectal")
    'colon'
    """
    words = " ".join(organ.lower().split())
    return _ORGAN_SYNONYMS.get(words, words)


def targets_of(organ: str | None) -> tuple[str, ...]:
    """Return all known targets, or those of an organ in the list of the model card.

    Raises
    ------
    SettingsError
        If the organ is not in the list.
    """
    if organ is None:
        return KNOWN
    try:
        return _OF_ORGAN[organ_name(organ)]
    except KeyError:
        raise SettingsError(
            f"The organ {organ!r} is not in the list of BiomedParse.",
            f"{did_you_mean(organ, (*_OF_ORGAN, *_ORGAN_SYNONYMS))} "
            f"Use one of: {', '.join(sorted(_OF_ORGAN))}; or give one --prompt for each target.",
        ) from None


def model_prompt(prompt: Prompt, organ: str | None) -> str:
    """Return the text for the network: as in its training "{target} in {site} pathology"; free text unchanged.

    >>> model_prompt(Prompt.parse("tumour cells"), "breast")
    'neoplastic cells in breast pathology'
    """
    site = prompt.site or organ
    if not prompt.known:
        return prompt.name
    return f"{prompt.name} in {organ_name(site)} pathology" if site else prompt.name


def notes_on(prompt: Prompt, organ: str | None, field_um: float) -> list[str]:
    """Return what the user should know about the results of this prompt."""
    site = prompt.site or organ
    if prompt.name not in KNOWN:
        return [
            f"BiomedParse was not trained on {prompt.text!r} in pathology and may find something else. "
            f"It is treated as {'cells' if prompt.kind == 'cell' else 'regions'} in fields of {field_um:g} µm; change "
            f"this with --set objects.free_text_kind=… and --field-um. Known targets: {', '.join(KNOWN)}."
        ]
    if site is None:
        return []
    trained = _OF_ORGAN.get(organ_name(site))
    if trained is None:
        near = closest(organ_name(site), (*_OF_ORGAN, *_ORGAN_SYNONYMS))
        meant = f" (did you mean {near!r}?)" if near else ""
        return [
            f"The organ {site!r} is not in the list of BiomedParse{meant}, and is passed on unchanged. The list has: "
            f"{', '.join(sorted(_OF_ORGAN))}."
        ]
    if prompt.name not in trained:
        return [
            f"For {organ_name(site)}, BiomedParse lists {' and '.join(trained)}, but not {prompt.name}: "
            "check these objects."
        ]
    return []
