"""What an image is by its name, its description and its size: a label, macro or thumbnail is no slide."""

import re

#: A label, macro or overview picture has at most this many pixels on its longer side.
MAX_SIDE_PX = 4096
_ROLES = {
    "label": "label",
    "barcode": "label",
    "macro": "macro image",
    "overview": "overview",
    "preview": "overview",
    "thumbnail": "thumbnail",
    "thumb": "thumbnail",
}
# Aperio's second line of a description: "label 387x463".
_APERIO = re.compile(r"\A[^\n]*\n(label|macro) \d+x\d+", re.IGNORECASE)


def role_of(name: str, size_px: tuple[int, int], description: str = "") -> str | None:
    """Return what else than a slide an image is.

    Parameters
    ----------
    name : str
        Of the image in its file, or of the file without its ending.
    size_px : (int, int)
        Width and height.
    description : str
        TIFF ImageDescription.

    Returns
    -------
    str or None
        "label", "macro image", "overview", "thumbnail"; None for a slide. Only the last word of a name counts, and only
        for a small image: slides are called "label free kidney", too.

    >>> role_of("label image", (387, 463)), role_of("slide_07-macro", (1280, 431)), role_of("macrophages", (500, 500))
    ('label', 'macro image', None)
    >>> role_of("overview", (90_000, 60_000)) is None
    True
    """
    if max(size_px) > MAX_SIDE_PX:
        return None
    found = _APERIO.match(description.replace("\r", ""))
    words = re.findall(r"[a-z]+", name.lower())
    if words and words[-1] in ("image", "picture", "series"):
        words.pop()
    return _ROLES[found[1].lower()] if found else _ROLES.get(words[-1]) if words else None
