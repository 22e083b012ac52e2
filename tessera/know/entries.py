"""Who entered which campaign when, and in which arm, from the files of decisions.

A year of decisions is long and its closed days do not change, so what they came to is kept beside
the scores and only new days are read. The file may be deleted at any time.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb

from tessera.home import Home
from tessera.quoting import literal
from tessera.store import queries
from tessera.warehouse.inputs import replace_text, stamp

SQL = queries("tessera.know", "results.sql")

Stamps = dict[str, str]  # file below the decisions -> size and time


def load(duck: duckdb.DuckDBPyConnection, home: Home, today: date) -> bool:
    """Make the table `entry` of all days before `today`; False when nothing was decided."""
    files = _files(home, today)
    if not files:
        return False
    known = _known(home)
    if not known.items() <= files.items():
        known = {}
    new = [str(home.decisions / path) for path in files if path not in known]
    parts = [f"read_parquet({literal(str(_kept(home)))})"] if known else []
    if new:
        duck.execute(f"create temp table news as {SQL['decided']}", {"files": new})
        parts.append("news")
    rows = " union all by name ".join(f"select *, '' as old_number from {part}" for part in parts)
    merged = SQL["merged"].format(parts=rows)
    duck.execute(f"create temp table entry as {merged}")
    if new and not _comes_late(home, today):
        _keep(duck, home, files)
    return True


def _files(home: Home, today: date) -> Stamps:
    found = {}
    for path in sorted(home.decisions.glob("date=*/*.parquet")):
        if path.parent.name < f"date={today}" and not path.name.startswith("."):
            found[f"{path.parent.name}/{path.name}"] = stamp(path)
    return found


def _known(home: Home) -> Stamps:
    """The files that the kept entries were made of; none when there are none, or torn ones."""
    if not _kept(home).exists():
        return {}
    try:
        return dict(json.loads(_list(home).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _comes_late(home: Home, today: date) -> bool:
    """Whether later days were decided: who looks back keeps nothing."""
    last = max(path.name for path in home.decisions.glob("date=*"))
    return last > f"date={today}"


def _keep(duck: duckdb.DuckDBPyConnection, home: Home, files: Stamps) -> None:
    """The list goes first and comes last, so that it never tells of files that are not in."""
    home.know.mkdir(parents=True, exist_ok=True)
    _list(home).unlink(missing_ok=True)
    beside = _kept(home).with_suffix(".new")
    duck.execute(f"copy entry to {literal(str(beside))} (format parquet, compression zstd)")
    beside.replace(_kept(home))
    replace_text(_list(home), json.dumps(files))


def _kept(home: Home) -> Path:
    return home.know / "entries.parquet"


def _list(home: Home) -> Path:
    return home.know / "entries.json"
