"""What the options of run, cohort and preview mean as settings, and what is checked before any slide is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsi_parse.errors import UnknownNameError, UsageError
from wsi_parse.registry import CLUSTERS, READERS

if TYPE_CHECKING:
    from wsi_parse.settings import RunSettings

# Option -> section and name of its setting.
_SETTINGS = {
    "mpp": ("slide", "mpp"),
    "override_mpp": ("slide", "override_mpp"),
    "roi": ("slide", "roi"),
    "name": ("slide", "name"),
    "model": ("model", "name"),
    "weights": ("model", "weights"),
    "organ": ("model", "organ"),
    "field_um": ("model", "field_um"),
    "threshold": ("objects", "threshold"),
    "cell_expansion": ("objects", "cell_expansion_um"),
    "formats": ("export", "formats"),
    "keep": ("export", "keep"),
    "frame": ("export", "frame"),
    "cluster": ("compute", "cluster"),
    "workers": ("compute", "workers"),
    "share_group": ("compute", "share_group"),
}


def settings_of(
    config: Path | None,
    overrides: Sequence[str] | None,
    prompts: Sequence[str] | None,
    **options: Any,  # noqa: ANN401
) -> "RunSettings":
    """Build settings from a file, then --set, then the other options.

    Parameters
    ----------
    config : Path or None
    overrides : sequence of str or None
        Of --set.
    prompts : sequence of str or None
    **options
        Those of `_SETTINGS`; None, False and empty lists change nothing.

    Raises
    ------
    SettingsError
        Names every setting that is unknown or invalid.
    """
    from wsi_parse.settings import RunSettings

    sections: dict[str, dict[str, Any]] = {}
    for option, value in options.items():
        section, key = _SETTINGS[option]
        if value is not None and value is not False and value != []:
            sections.setdefault(section, {})[key] = tuple(value) if isinstance(value, list) else value
    return RunSettings.load(config, overrides or (), prompts=tuple(prompts or ()), **sections)


def check_settings(settings: "RunSettings", slides: int = 1) -> None:
    """Refuse, before any slide is opened, what would fail with each of them.

    Parameters
    ----------
    settings : RunSettings
    slides : int
        Number of slides.

    Raises
    ------
    UsageError
        A reader, format or kind of cluster is unknown, or several slides would have one name.
    """
    from wsi_parse.exporters.check_formats import check_formats

    cluster, reader, name = settings.compute.cluster, settings.slide.reader, settings.slide.name
    if "://" not in cluster and cluster not in CLUSTERS:
        raise UnknownNameError.of("cluster", cluster, CLUSTERS.names())
    if reader is not None and reader not in READERS:
        raise UnknownNameError.of("reader", reader, READERS.names())
    check_formats(settings.export.formats)
    if slides > 1 and name is not None and "{id}" not in name:
        raise UsageError(
            f"{slides} slides would all have the name {name!r}.",
            f"Put {{id}} into it, for example: --name '{name} {{id}}'",
        )
