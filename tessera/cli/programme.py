"""`tessera programme`: whether the programme file is sound, and its schema for an editor."""

from __future__ import annotations

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json

programme = typer.Typer(help="The loyalty programme's file: check it, print its schema.")


def register(app: typer.Typer) -> None:
    app.add_typer(programme, name="programme")


@programme.command()
def check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Point at every mistake in deployments/programme.yml, by line and key.

    Example: tessera programme check
    """
    from dataclasses import asdict

    from tessera import documents
    from tessera.errors import BadInput
    from tessera.reward.programme import FILE, Programme
    from tessera.workspace import open_workspace

    project = open_workspace(home=home).project
    _, problems, _ = documents.read(project / FILE, Programme, project=project)
    if as_json:
        print_json({"ok": not problems, "problems": [asdict(one) for one in problems]})
    else:
        for one in problems:
            typer.echo(str(one), err=True)
        if not problems:
            typer.echo("The programme is sound.")
    if problems:
        raise typer.Exit(BadInput.exit_code)


@programme.command()
def schema() -> None:
    """Print the JSON Schema of the programme file, for an editor.

    Example: tessera programme schema > programme.schema.json
    """
    from tessera.reward.programme import Programme

    print_json(Programme.model_json_schema())
