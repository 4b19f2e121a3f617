"""The settings command: every setting as YAML, with a comment that explains it."""

from typing import TYPE_CHECKING

import typer

from wsi_parse.cli.options import Config, Overrides

if TYPE_CHECKING:
    from pydantic import BaseModel


def settings(config: Config = None, overrides: Overrides = None) -> None:
    """Print all settings as YAML, each with an explanation.

    Save the output in a file, change it, and give the file to --config.

    Examples
    --------
    wsi-parse settings
        Read what can be set.
    wsi-parse settings > mine.yaml
        Write a file to change; then: wsi-parse slide.svs --config mine.yaml
    wsi-parse settings --config mine.yaml --set objects.threshold=0.4
        Check a file, and see what it becomes with one change.
    """
    from wsi_parse.settings import RunSettings

    # A file of settings is read as UTF-8, whatever the encoding of this terminal is.
    typer.echo(as_yaml(RunSettings.load(config, overrides or ())).encode(), nl=False)


def as_yaml(model: "BaseModel", indent: str = "") -> str:
    """Write settings as YAML; a comment in each line explains it."""
    import yaml
    from pydantic import BaseModel

    lines = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            lines.append(f"{indent}{name}:  # {(type(value).__doc__ or '').strip()}\n{as_yaml(value, indent + '  ')}")
            continue
        plain = model.model_dump(mode="json", include={name})[name]
        text = yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
        lines.append(f"{indent}{name}: {text}  # {field.description}\n")
    return "".join(lines)
