"""Cautions: what is plausible but wrong. Each has a code, a sentence, a number and a remedy.

They are the same on the screen, in run.json, in the table of a cohort and in Python. A caution never stops a run; with
``--strict`` it makes the exit code 1. On a clean slide at its right pixel size there is none, unless the prompt itself
is questioned. The bounds stand where something is measured; the functions here put it into a sentence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that a user should look at before the result is used.

    Parameters
    ----------
    code : str
        What it is about, for tables and programs: "no-tissue".
    text : str
        The sentence for a person.
    number : float or None
        The number that it was decided by.
    remedy : str
        What to do, as an imperative sentence.
    """

    code: str
    text: str
    number: float | None = None
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.remedy}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


#: Codes of cautions that say that a slide may not look to a model as it should.
OF_THE_INPUT = frozenset({"coarse-slide", "pixel-size", "tinted-glass", "unusual-colours"})


def once(cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """Drop cautions that occur twice; the order stays."""
    return tuple(dict.fromkeys(cautions))


def no_tissue() -> Caution:
    """The whole slide looks empty."""
    return Caution(
        "no-tissue",
        "No tissue was found on the slide.",
        0.0,
        "Look at it with `wsi-parse preview`; if there is tissue, run it with --set tissue.detect=false.",
    )


def roi_without_tissue() -> Caution:
    """The region of interest lies on the slide, and no tissue lies in it."""
    return Caution(
        "roi-without-tissue",
        "No tissue was found in the region of interest.",
        0.0,
        "Check that the region belongs to this slide; look at it with `wsi-parse preview --roi`.",
    )


def small_region(area_um2: float) -> Caution:
    """What of the region of interest lies on the slide holds a few nuclei at most."""
    return Caution(
        "small-region",
        f"The region of interest covers only {area_um2:.3g} µm² of the slide.",
        round(area_um2, 2),
        "Check that its coordinates are pixels of the slide at full resolution (level 0), not µm or pixels of a "
        "smaller picture.",
    )


def roi_of_another_slide(name: str) -> Caution:
    """The file of the region names another slide."""
    return Caution(
        "roi-of-another-slide",
        f"The region of interest was drawn on another slide, {name}.",
        None,
        "Give the region of this slide with --roi.",
    )


def nothing_found(prompts: Sequence[str], tissue_mm2: float) -> Caution:
    """There is tissue, and not one object of a prompt that every tissue has."""
    return Caution(
        "nothing-found",
        f"No objects of {_listed(prompts)} were found on {tissue_mm2:.3g} mm² of tissue.",
        0.0,
        "Check the pixel size, the stain and the prompt; look at overlay.png.",
    )


def nuclear_size(median_um2: float, low_um2: float, high_um2: float) -> Caution:
    """The nuclei are too small or too large for human tissue."""
    return Caution(
        "nuclear-size",
        f"The median area of the nuclei is {median_um2:.3g} µm², which is outside of {low_um2:g} to {high_um2:g} µm².",
        round(median_um2, 2),
        "Check the pixel size with `wsi-parse info` and `wsi-parse preview`.",
    )


def pixel_size_against_nuclei(mpp: float, estimated_mpp: float, low_mpp: float, high_mpp: float) -> Caution:
    """The nuclei that are seen do not have the size that the pixel size gives them."""
    return Caution(
        "pixel-size",
        f"The pixel size is {mpp:.3g} µm, but by the size of its nuclei it would be about {estimated_mpp:.2g} µm "
        f"({low_mpp:.2g} to {high_mpp:.2g} µm).",
        round(estimated_mpp, 3),
        "Check it with `wsi-parse preview`, and correct it with --mpp and --override-mpp.",
    )


def unusual_pixel_size(mpp: float, likely_mpp: float | None = None) -> Caution:
    """A pixel size that no scanner is likely to have; `likely_mpp` is what it most likely stands for."""
    question = "" if likely_mpp is None else f" Is it {likely_mpp:.3g} µm?"
    return Caution(
        "unusual-pixel-size",
        f"The pixel size of {mpp:.3g} µm is unusual for a slide.{question}",
        round(mpp, 4),
        "Check it with `wsi-parse preview`, and correct it with --mpp and --override-mpp.",
    )


def pixels_not_square(x_um: float, y_um: float) -> Caution:
    """The file gives pixels that are longer than wide, or wider than long."""
    return Caution(
        "pixels-not-square",
        f"The pixels of the slide are not square: {x_um:.3g} x {y_um:.3g} µm.",
        round(max(x_um, y_um) / min(x_um, y_um), 3),
        "Check with `wsi-parse preview` that nuclei are not stretched; correct it with --mpp and --override-mpp.",
    )


def coarse_slide(pixel_um: float, read_mpp: float, model: str) -> Caution:
    """The pixels of the slide are much wider than those that the model reads."""
    return Caution(
        "coarse-slide",
        f"A pixel of the slide is {pixel_um:.3g} µm wide, but {model} reads pixels of {read_mpp:.3g} µm: the slide is "
        "enlarged, and objects that need finer detail are missed.",
        round(pixel_um, 4),
        "Use a slide that was scanned at a higher magnification, if there is one.",
    )


def mostly_unsure(prompt: str, share: float) -> Caution:
    """The model is unsure of the class of most objects."""
    return Caution(
        "mostly-unsure",
        f"The class of {share:.0%} of the {prompt} is unsure.",
        round(share, 4),
        "Review them in QuPath before you use the counts; the tissue may be of a kind that the model did not learn.",
    )


#: Code of :func:`damaged_description`.
DAMAGED_DESCRIPTION = "damaged-description"


def damaged_description(what: str, remedy: str) -> Caution:
    """What a file says of its image is missing, unreadable or wrong; `what` is a sentence."""
    return Caution(DAMAGED_DESCRIPTION, what, None, remedy)


def tinted_glass(rgb: Sequence[float]) -> Caution:
    """Empty glass is not grey: the colours were decoded wrongly, or the white balance is off."""
    red, green, blue = (round(value) for value in rgb)
    return Caution(
        "tinted-glass",
        f"The empty glass is not grey: its red, green and blue are {red}, {green} and {blue}.",
        float(max(rgb) - min(rgb)),
        "Check the colours of the slide in QuPath; the file may have been converted wrongly.",
    )


def unusual_colours(what: str, number: float | None = None) -> Caution:
    """The stain does not look like haematoxylin and eosin; `what` is a sentence that says what it looks like."""
    return Caution(
        "unusual-colours",
        what,
        number,
        "Check the stain and the colours of the slide; the models of wsi-parse are made for haematoxylin and eosin.",
    )


def threshold_at_bound(threshold: float) -> Caution:
    """The threshold that was estimated from the slide ended at the edge of what it may be."""
    return Caution(
        "threshold-at-bound",
        f"The threshold of the stain was estimated at the bound of its range, {threshold:.2g}: the stain is unusually "
        "strong or weak.",
        round(threshold, 4),
        "Look at overlay.png before you use the counts.",
    )


def style_from_few_pixels(pixels: int) -> Caution:
    """The stain was estimated from too little tissue."""
    return Caution(
        "few-pixels-of-stain",
        f"The staining was estimated from only {pixels:,} pixels of tissue.",
        float(pixels),
        "Look at overlay.png before you use the counts.",
    )


def outside_training(what: str, number: float, low: float, high: float, model: str) -> Caution:
    """A slide does not look like anything that the model learnt from; `what` names the number that tells."""
    return Caution(
        "outside-training",
        f"On this slide {what} is {number:.3g}, but what {model} learnt from has {low:.3g} to {high:.3g}: its classes "
        "are less reliable.",
        round(number, 4),
        "Review the classes in QuPath before you use the counts; run.json says from which probability on a class is "
        "sure.",
    )


def normal_breast(prompt: str, model: str) -> Caution:
    """The tissue may be breast, of which the model does not know the normal ducts."""
    return Caution(
        "normal-breast",
        f"Nuclei of normal breast ducts are like neoplastic ones to {model}: there, {prompt!r} is not to be "
        "trusted, not even where it is sure.",
        None,
        "Use it on breast only where a person knows that there is tumour; name another organ with --organ.",
    )


def unreadable_tiles(count: int, of: int) -> Caution:
    """Stored tiles of the slide are damaged, and were left out as the user allowed."""
    return Caution(
        "unreadable-tiles",
        f"Some stored tiles of the slide cannot be read: {count:,} of {of:,}. They were not looked at, and count in no "
        "area.",
        float(count),
        "Copy the file again from where it came, if you can, and run it again.",
    )


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
