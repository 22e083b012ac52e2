"""`tessera till`: the keys that tills show."""

from __future__ import annotations

from typing import Annotated

import typer

from tessera.cli.options import HomeOption, JsonOption, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add `till` and what is below it to `app`."""
    group = typer.Typer(help="The tills' keys, and the API's document.", no_args_is_help=True)
    for command in (key, keys, revoke, openapi):
        group.command()(command)
    app.add_typer(group, name="till")


def key(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store's id.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key for a store's tills and print it, this once: only its hash is kept.

    Example: tessera till key S01
    """
    from tessera import audit, clock
    from tessera.reward import keys as books
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    with ws.store.write() as connection:
        made = books.make(connection, store, clock.now())
        audit.record(ws, connection, "make till key", f"store {store}", key=made.split("_")[1])
    print_json({"store": store, "key": made}) if as_json else typer.echo(made)


def keys(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The keys there are, by store; what they are is kept nowhere.

    Example: tessera till keys
    """
    from tessera.reward import keys as books
    from tessera.workspace import open_workspace

    with open_workspace(home=home).store.read() as connection:
        found = books.listed(connection)
    print_json(found) if as_json else print_table(found)


def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id that 'till keys' shows.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a key open nothing any more, within five seconds.

    Example: tessera till revoke 3f2a9c01d7be
    """
    from tessera import audit, clock
    from tessera.reward import keys as books
    from tessera.workspace import open_workspace

    ws = open_workspace(home=home)
    with ws.store.write() as connection:
        books.revoke(connection, key, clock.now())
        audit.record(ws, connection, "revoke till key", f"key {key}")
    if as_json:
        print_json({"revoked": key})


def openapi(home: HomeOption = None) -> None:
    """Print the till API's OpenAPI document, as `tessera web` serves it.

    Example: tessera till openapi > till.json
    """
    from tessera.web.contract import document
    from tessera.web.till import OPERATIONS
    from tessera.workspace import open_workspace

    settings = open_workspace(home=home).settings
    print_json(document(OPERATIONS, settings.public_url.rstrip("/")))
