"""The tree of errors. Each says what is wrong and what to do.

::

    WsiParseError
    ├── UsageError (ValueError)             the call is wrong: options, settings, prompts
    │   ├── SettingsError
    │   ├── UnknownNameError (KeyError)     no reader, model, exporter of that name
    │   ├── MissingPackageError (ImportError)  an output format needs a package that is not installed
    │   └── UnknownPromptError              the model does not know the words
    ├── SlideError                          the slide cannot be used
    │   ├── SlideOpenError (OSError)        no reader opens it
    │   ├── SlideReadError (OSError)        it opened, but pixels cannot be read
    │   ├── UnsupportedSlideError           opened, but not something we process
    │   └── PixelSizeError (ValueError)     the microns per pixel are missing or disagree
    ├── ModelError (RuntimeError)           a model failed, or answered out of contract
    ├── WeightsError (OSError)              weights are missing, damaged, or of another network
    │   └── DownloadError                   they could not be fetched
    │       └── MissingFileError            the repository does not hold them
    ├── StoreError (OSError)                an intermediate result is damaged
    ├── ClusterError (RuntimeError)         the place where tasks run cannot be had, or is gone
    ├── ClaimedError (RuntimeError)         another process is doing this slide
    └── StageError (RuntimeError)           where a run failed: slide, stage and place
"""

from collections.abc import Iterable


class WsiParseError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    remedy : str, optional
        What the user can do about it.
    stage : str, optional
        Of a run: "tissue", "prediction", "outlining", "export", …
    place : str, optional
        On the slide, in level-0 pixels.
    """

    def __init__(self, message: str, remedy: str = "", stage: str = "", place: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy
        self.stage = stage
        self.place = place

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(WsiParseError, ValueError):
    """The call is wrong."""


class SettingsError(UsageError):
    """A setting is unknown or has a value that cannot be."""


class UnknownNameError(UsageError, KeyError):
    """No plug-in of that name is registered."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownNameError":
        """Build the error for `name`, listing what is `known`."""
        return cls(f"No {kind} is called {name!r}.", f"Known: {', '.join(sorted(known))}.")


class MissingPackageError(UsageError, ImportError):
    """An output format needs a package that is not installed; the remedy is the command that installs it."""


class UnknownPromptError(UsageError):
    """The chosen model does not know the words of a prompt."""


class SlideError(WsiParseError):
    """A slide cannot be used."""


class SlideOpenError(SlideError, OSError):
    """No reader opens the file."""


class SlideReadError(SlideError, OSError):
    """The slide opened, but its pixels cannot be read."""


class UnsupportedSlideError(SlideError):
    """The file opened, but is not something this package processes (fluorescence, stacks, 16 bit)."""


class PixelSizeError(SlideError, ValueError):
    """The microns per pixel are missing, absurd, or disagree with what the user said."""


class ModelError(WsiParseError, RuntimeError):
    """A model failed or answered out of contract."""


class WeightsError(WsiParseError, OSError):
    """Weights of a model are missing, damaged, or of another network."""


class DownloadError(WeightsError):
    """Weights could not be fetched; the message says why, the remedy what to do."""


class MissingFileError(DownloadError):
    """The repository is there, the file is not."""


class StoreError(WsiParseError, OSError):
    """An intermediate result is missing or damaged."""


class ClusterError(WsiParseError, RuntimeError):
    """Workers cannot be had, cannot do the work, or their scheduler is gone."""


class ClaimedError(WsiParseError, RuntimeError):
    """Another process is doing this slide."""


class StageError(WsiParseError, RuntimeError):
    """A run failed: the message names slide, stage and place; `__cause__` says why."""
