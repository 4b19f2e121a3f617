"""The errors of this package; each says what is wrong and what to do.

::

    WsiParseError
    ├── UsageError (ValueError)             the call is wrong: options, settings, prompts
    │   ├── SettingsError
    │   ├── UnknownNameError (KeyError)     no reader, model, exporter or cluster has that name
    │   ├── MissingPackageError (ImportError)  what was asked for needs a package that is not installed
    │   └── UnknownPromptError              the model does not know a prompt
    ├── SlideError                          the slide cannot be used
    │   ├── SlideOpenError (OSError)        no reader opens the file
    │   ├── SlideReadError (OSError)        the slide opened, but its pixels cannot be read
    │   │   └── SlideLostError              the file itself cannot be read any more
    │   ├── UnsupportedSlideError           the file opened, but is not a slide that we process
    │   └── PixelSizeError (ValueError)     the pixel size is missing, not valid, or contradicted
    ├── PluginError (RuntimeError)          a reader, model, exporter or cluster failed, or cannot be loaded
    ├── ModelError (RuntimeError)           a model failed, or broke its contract
    ├── WeightsError (OSError)              weights are missing, damaged, or of another network
    │   └── DownloadError                   the weights could not be downloaded
    │       └── MissingFileError            the repository does not contain the file
    ├── StoreError (OSError)                an intermediate result cannot be read or written
    │   └── DamagedError                    it is missing or damaged; the same command makes it again
    ├── ManifestError (ValueError)          run.json of a folder of results cannot be read
    ├── ClusterError (RuntimeError)         workers are not available, or were lost
    ├── ClaimedError (RuntimeError)         another process works on this slide
    └── StageError (RuntimeError)           a run failed: names slide, stage and position
"""

from collections.abc import Iterable
from difflib import get_close_matches

# Names that share less than this are not taken for a slip of the pen (1: all letters are the same). Two letters that
# change places in a name of three, such as csv, are one.
_MIN_SIMILARITY = 0.66


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistyped one most likely stands for; None if no name is close."""
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.strip().lower(), by_lower, 1, _MIN_SIMILARITY)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask whether the known name that is closest to a mistyped one was meant; empty if no name is close.

    >>> did_you_mean("neoplasic cells", ["nuclei", "neoplastic cells"])
    "Did you mean 'neoplastic cells'?"
    >>> did_you_mean("mitoses", ["nuclei", "neoplastic cells"])
    ''
    """
    near = closest(name, known)
    return f"Did you mean {near!r}?" if near else ""


class WsiParseError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    remedy : str, optional
        What the user can do about it, as an imperative sentence.
    stage : str, optional
        The stage of the run: "tissue", "prediction", "outlining", "export", …
    place_description : str, optional
        Where on the slide, in level-0 pixels: "x 0-512, y 1024-1536".

    Examples
    --------
    >>> try:
    ...     raise WsiParseError("The disk is full.", "Free some space.", stage="export")
    ... except WsiParseError as error:
    ...     print(error.stage, error.message, error.remedy, sep=" | ")
    export | The disk is full. | Free some space.
    """

    def __init__(self, message: str, remedy: str = "", stage: str = "", place_description: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        # A suggestion that there is none of leaves a space.
        self.remedy = remedy.strip()
        self.stage = stage
        self.place_description = place_description

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(WsiParseError, ValueError):
    """The call is wrong."""


class SettingsError(UsageError):
    """A setting is unknown or has a value that is not valid."""


class UnknownNameError(UsageError, KeyError):
    """No plug-in with that name is registered."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownNameError":
        """Build the error for `name`, with the closest and all of the `known` names as remedy."""
        known = sorted(known)
        remedy = f"{did_you_mean(name, known)} Use one of: {', '.join(known)}."
        return cls(f"There is no {kind} called {name!r}.", remedy)


class MissingPackageError(UsageError, ImportError):
    """What was asked for needs a package that is not installed; the remedy is the command that installs it."""


class UnknownPromptError(UsageError):
    """The chosen model does not know a prompt."""


class SlideError(WsiParseError):
    """A slide cannot be used."""


class SlideOpenError(SlideError, OSError):
    """No reader opens the file."""


class SlideReadError(SlideError, OSError):
    """The slide opened, but its pixels cannot be read."""


class SlideLostError(SlideReadError):
    """The file cannot be read any more: its disk or network fails, or it was removed. Its stored tiles may be whole."""


class UnsupportedSlideError(SlideError):
    """The file opened, but it is a kind of image that this package does not process (fluorescence, stacks, 16 bit)."""


class PixelSizeError(SlideError, ValueError):
    """The pixel size is missing or not valid, or the user's number differs from the file's."""


class PluginError(WsiParseError, RuntimeError):
    """A reader, model, exporter or cluster failed or cannot be loaded; the message names it, `__cause__` is why."""


class ModelError(WsiParseError, RuntimeError):
    """A model failed, or its result broke the contract."""


class WeightsError(WsiParseError, OSError):
    """The weights of a model are missing, damaged, or belong to another network."""


class DownloadError(WeightsError):
    """Weights, or the slide of the demonstration, could not be downloaded; the message says why."""


class MissingFileError(DownloadError):
    """The repository exists, but does not contain the file."""


class StoreError(WsiParseError, OSError):
    """An intermediate result cannot be read or written."""


class DamagedError(StoreError):
    """An intermediate result is missing, damaged, or that of another place: the same command makes it again."""


class ManifestError(WsiParseError, ValueError):
    """The manifest of a folder of results is there and cannot be read."""


class ClusterError(WsiParseError, RuntimeError):
    """Workers are not available or cannot do the work, or the connection to their scheduler was lost."""


class ClaimedError(WsiParseError, RuntimeError):
    """Another process works on this slide."""


class StageError(WsiParseError, RuntimeError):
    """A run failed; the message names slide, stage and position, and `__cause__` is the reason."""
