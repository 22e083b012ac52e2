"""Everything that is held about a person, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from tessera.errors import BadInput
from tessera.feeds import FEEDS, Feed
from tessera.home import Home
from tessera.land import erased
from tessera.person import identity as who
from tessera.person import records
from tessera.person.identity import Identity
from tessera.quoting import literal, name
from tessera.store import queries
from tessera.warehouse import marts
from tessera.warehouse.publish import LINES, PACKED
from tessera.warehouse.rows import named
from tessera.workspace import Workspace

SQL = queries("tessera.person", "held.sql")
Rows = list[Mapping[str, Any]]


def held(ws: Workspace, identity: Identity) -> dict[str, Rows]:
    """The rows about the person by place, such as 'landed customers'; only places with any."""
    found: dict[str, Rows] = {}
    with who.shown(identity) as duck:
        for feed in FEEDS.values():
            found[f"landed {feed.name}"] = _landed(duck, ws.home, feed)
            found[f"quarantined {feed.name}"] = _quarantined(duck, ws.home, feed)
        for mart, files in published(ws.home):
            found[f"mart {mart}"] = _published(duck, files)
        found["decisions"] = _published(duck, decided(ws.home))
        for path in learned(ws.home):
            found[f"learned {path.stem}"] = _published(duck, [path])
    with ws.store.read() as connection:
        rows = records.held(connection, identity)
    found |= {f"store {table}": list(its) for table, its in rows.items()}
    letters = written(ws, identity)
    found["mail"] = [{"file": str(path.relative_to(ws.home.root))} for path in letters]
    return {place: its for place, its in found.items() if its}


def written(ws: Workspace, identity: Identity) -> Iterator[Path]:
    """What the messengers that write files wrote to the person, called by the message's key."""
    for folder in (ws.home.mail, ws.home.root / "sms", ws.home.root / "print"):
        yield from (p for p in sorted(folder.rglob("*.*")) if p.stem in identity.send_keys)


def published(home: Home) -> Iterator[tuple[str, list[Path]]]:
    """The files of every mart in force; receipt lines are the landed ones."""
    try:
        snapshot = marts.current(home)
    except BadInput:
        return
    for mart, files in snapshot.marts.items():
        if mart not in (LINES, PACKED):
            yield mart, sorted(home.marts.glob(files))


def decided(home: Home) -> list[Path]:
    """The files of all decisions."""
    return sorted(home.decisions.glob("date=*/*.parquet"))


def learned(home: Home) -> list[Path]:
    """The files of what was learned of people."""
    return sorted(home.know.glob("*.parquet"))


def quarantined(home: Home, feed: Feed) -> list[Path]:
    """The files of a feed's quarantined rows."""
    return who.in_order(home.quarantine / feed.name)


def is_quarantined(feed: Feed) -> str:
    """The condition that a quarantined row is about somebody in `theirs`."""
    return erased.is_theirs(
        feed, lambda column: f"(\"row\" ->> '{column}')", "(\"row\" ->> '_row')"
    )


def is_named(duck: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """The condition that a row of a Parquet file is about somebody in `theirs`; None when it has
    no column that could say so."""
    described = duck.execute(f"describe select * from read_parquet({literal(str(path))})")
    columns = {row[0] for row in described.fetchall()}
    tests = [
        f"coalesce({name(column)} in (select value from theirs where kind = '{kind}'), false)"
        for column, kind in erased.KINDS.items()
        if column in columns
    ]
    return " or ".join(tests) or None


def _landed(duck: duckdb.DuckDBPyConnection, home: Home, feed: Feed) -> Rows:
    return _found(duck, "landed", who.landed(home, feed.name), erased.is_theirs(feed))


def _quarantined(duck: duckdb.DuckDBPyConnection, home: Home, feed: Feed) -> Rows:
    return _found(duck, "quarantined", quarantined(home, feed), is_quarantined(feed))


def _published(duck: duckdb.DuckDBPyConnection, files: list[Path]) -> Rows:
    theirs = is_named(duck, files[0]) if files else None
    return _found(duck, "published", files, theirs) if theirs else []


def _found(duck: duckdb.DuckDBPyConnection, query: str, files: list[Path], theirs: str) -> Rows:
    return [
        row
        for some in who.portions(files)
        for row in rows(duck, SQL[query].format(files=some, theirs=theirs))
    ]


def rows(duck: duckdb.DuckDBPyConnection, query: str) -> Rows:
    """The answer's rows, without columns that are empty."""
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in named(duck.execute(query))
    ]
