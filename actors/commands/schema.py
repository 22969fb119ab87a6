"""`shoal schema`: the public contract as JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actors.commands.shared import JsonFlag


def schema(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An action or event type.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write all of them to this folder.")] = None,
    tables: Annotated[Path | None, typer.Option("--tables", help="Renew the generated part of this Markdown file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """JSON Schemas of every command and event: their names, one of them, or all as files.

    Examples: `shoal schema`, `shoal schema SIGNAL`, `shoal schema --out docs/schemas --tables docs/commands-and-events.md`
    """
    import json

    from actors.schema_docs import with_tables, write_schemas
    from runtime.errors import InvalidInput
    from runtime.schemas import schemas

    by_name = {Path(file).stem: content for file, content in schemas().items()}
    if name is not None:
        if name not in by_name:
            raise InvalidInput("NAME", name, f"must be one of {', '.join(by_name)}")
        typer.echo(json.dumps(by_name[name], indent=2))
    if out is not None:
        typer.echo(f"{len(write_schemas(out))} schemas written to {out}")
    if tables is not None:
        tables.write_text(with_tables(tables.read_text(encoding="utf-8")), encoding="utf-8")
        typer.echo(f"tables written to {tables}")
    if name is None and out is None and tables is None:
        typer.echo(json.dumps(by_name) if as_json else "\n".join(by_name))
