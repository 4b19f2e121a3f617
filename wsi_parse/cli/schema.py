"""The schema command: the JSON Schema of run.json."""

import json

import typer


def schema() -> None:
    """Print the JSON Schema of run.json, the manifest of a run.

    Programs that read run.json can check it with this schema, or generate types from it.

    Examples
    --------
    wsi-parse schema
        Read what run.json contains.
    wsi-parse schema > run.schema.json
        Write it to a file.
    wsi-parse schema | jq '.properties | keys'
        List its members with another tool.
    """
    from wsi_parse.run.manifest import manifest_schema

    text = json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"
    # UTF-8, as files of JSON are, whatever the encoding of this terminal is.
    typer.echo(text.encode(), nl=False)
