"""SlideOptions: how to open a slide."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsi_parse.settings.sections import SlideSettings


@dataclass(frozen=True)
class SlideOptions:
    """How to open a slide.

    Parameters
    ----------
    mpp : float or None
        Microns per level-0 pixel, for a file that has no pixel size.
    override_mpp : bool
        Use `mpp` even if the file has another pixel size.
    reader : str or None
        Name of the reader to use; None tries all.
    skip_unreadable : bool
        Where stored tiles are damaged, `read` gives white instead of an error; :meth:`Slide.read_readable` says where.

    Examples
    --------
    >>> SlideOptions(mpp=0.25)
    SlideOptions(mpp=0.25, override_mpp=False, reader=None, skip_unreadable=False)
    """

    mpp: float | None = None
    override_mpp: bool = False
    reader: str | None = None
    skip_unreadable: bool = False

    @classmethod
    def of(cls, settings: "SlideSettings") -> "SlideOptions":
        """Take the options from the settings of a run."""
        return cls(settings.mpp, settings.override_mpp, settings.reader, settings.skip_unreadable)
