"""RunSettings: every setting of a run, checked before anything is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from wsi_parse.settings.config import read_config, section_of, set_value
from wsi_parse.settings.problems import settings_error
from wsi_parse.settings.sections import (
    ComputeSettings,
    ExportSettings,
    ModelSettings,
    ObjectSettings,
    Section,
    SlideSettings,
    TileSettings,
    TissueSettings,
    one_or_several,
)


def _named(model: Any) -> Any:  # noqa: ANN401 - as above
    return {"name": model} if isinstance(model, str) else model


class RunSettings(Section):
    """All settings of a run; `wsi-parse settings` explains each.

    Parameters
    ----------
    prompts : str or several
        What to look for.
    model : str, dict or ModelSettings
        A name is enough.
    slide, tissue, tiles, objects, export, compute : dict or section
        What is left out has its default.

    Raises
    ------
    SettingsError
        Names every setting that is unknown or invalid.

    Examples
    --------
    >>> settings = RunSettings(prompts="nuclei", model="stain", objects={"threshold": 0.6})
    >>> settings.prompts, settings.model.name, settings.objects.threshold
    (('nuclei',), 'stain', 0.6)
    """

    prompts: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = Field(
        (), description="What to look for, in words."
    )
    slide: SlideSettings = SlideSettings()
    tissue: TissueSettings = TissueSettings()
    model: Annotated[ModelSettings, BeforeValidator(_named)] = ModelSettings()
    tiles: TileSettings = TileSettings()
    objects: ObjectSettings = ObjectSettings()
    export: ExportSettings = ExportSettings()
    compute: ComputeSettings = ComputeSettings()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            prompts: str | Iterable[str] = (),
            slide: SlideSettings | Mapping[str, Any] = ...,
            tissue: TissueSettings | Mapping[str, Any] = ...,
            model: str | ModelSettings | Mapping[str, Any] = ...,
            tiles: TileSettings | Mapping[str, Any] = ...,
            objects: ObjectSettings | Mapping[str, Any] = ...,
            export: ExportSettings | Mapping[str, Any] = ...,
            compute: ComputeSettings | Mapping[str, Any] = ...,
        ) -> None: ...

    else:

        def __init__(self, **values: Any) -> None:  # noqa: ANN401 - as in the signature above
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise settings_error(error, setting_names()) from error

        # Validating a mapping does not go through the constructor, and raises pydantic's error.
        __init__.__pydantic_base_init__ = True

    @classmethod
    def load(
        cls,
        config: str | Path | None = None,
        overrides: Iterable[str] = (),
        **direct: Any,  # noqa: ANN401
    ) -> "RunSettings":
        """Build settings from a YAML file, then ``section.key=value`` overrides, then direct sections.

        Raises
        ------
        SettingsError
            Names every setting that is unknown or invalid.
        """
        values = read_config(Path(config)) if config else {}
        for override in overrides:
            set_value(values, override)
        for section, given in direct.items():
            if section == "model":
                given = _named(given)
            if isinstance(given, dict):
                known = section_of(values, section)
                known.update({key: value for key, value in given.items() if value is not None})
            elif given:
                values[section] = given
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise settings_error(error, setting_names()) from error


def setting_names(model: type[BaseModel] = RunSettings, above: str = "") -> list[str]:
    """Return the names of all settings, with their sections: "objects.threshold"."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += setting_names(inner, f"{above}{name}.")
        else:
            names.append(above + name)
    return names
