"""Packs: the receipt lines of many small files in a few Parquet files, so that a reader opens these and not a
file for each store and day there ever was.

A pack is made from validated files, which stay where they are, and has their rows as they are, with their
`file_id`. It is good as long as all its files are what they were. The list of packs is replaced when they are
written, and what is not on it goes: whoever is killed leaves the packs of before, or those of after, and the
folder may be deleted. Builds come one at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tessera.home import Home
from tessera.parquet import is_whole
from tessera.quoting import constant, literal
from tessera.warehouse.inputs import replace_text

FEED = "transactions"  # of the others a file is read once, when it is new
SMALL = 1 << 20  # bytes; a larger file is read where it lies
LOOSE = 16  # small files that are left as they lie until there are more
AT_ONCE = 4096  # files, of which DuckDB keeps 30 KB each until all are read
LARGE = 64 << 20  # bytes of its files; a larger pack is not written again
Pack = dict[int, str]  # file_id -> stamp of the validated file


@dataclass(frozen=True)
class Lines:
    """Where the lines of all validated files are."""

    packs: list[Path]
    loose: list[int]  # file_id of those that are in no pack


def gather(home: Home, files: Mapping[int, str], *, memory: str = "4GB", threads: int = 2) -> Lines:
    """The lines of `files` (file_id -> stamp), the small ones put together where there are many."""
    packs = _known(home, files)
    packed = {n for pack in packs.values() for n in pack}
    small = {n: its for n, its in files.items() if n not in packed and _size(its) < SMALL}
    if len(small) > LOOSE:
        with _duck(memory, threads) as duck:
            for portion in _portions(small):
                merged = {name: packs.pop(name) for name in _merged(packs, portion)}
                name, pack = _write(duck, home, merged, portion)
                packs[name] = pack
                replace_text(_list(home), json.dumps(packs))
        packed |= small.keys()
    _sweep(home, packs)
    return Lines([_path(home, name) for name in packs], [n for n in files if n not in packed])


def _known(home: Home, files: Mapping[int, str]) -> dict[str, Pack]:
    """The packs that are good, in the order in which they were made."""
    found: dict[str, dict[str, str]] = {}
    with suppress(FileNotFoundError, ValueError):
        found = json.loads(_list(home).read_text(encoding="utf-8"))
    packs = {name: {int(n): its for n, its in pack.items()} for name, pack in found.items()}
    return {
        name: pack
        for name, pack in packs.items()
        if pack.items() <= files.items() and is_whole(_path(home, name))
    }


def _duck(memory: str, threads: int) -> duckdb.DuckDBPyConnection:
    """One that keeps no copy of files that are read once."""
    config: dict[str, Any] = {
        "memory_limit": memory,
        "threads": threads,
        "enable_external_file_cache": False,
    }
    return duckdb.connect(config=config)


def _portions(small: Pack) -> Iterator[Pack]:
    for begin in range(0, len(small), AT_ONCE):
        yield dict(list(small.items())[begin : begin + AT_ONCE])


def _merged(packs: Mapping[str, Pack], small: Pack) -> list[str]:
    """The last packs, as long as each is at most twice as large as all after it, the `small` files among
    these: so there are few packs, and a line is written again once for each time that they double."""
    merged: list[str] = []
    size = _bytes(small)
    for name, pack in reversed(list(packs.items())):
        if _bytes(pack) > min(2 * size, LARGE):
            break
        merged.insert(0, name)
        size += _bytes(pack)
    return merged


def _write(
    duck: duckdb.DuckDBPyConnection, home: Home, merged: Mapping[str, Pack], small: Pack
) -> tuple[str, Pack]:
    """One pack of those `merged` and the `small` files, and its name."""
    pack = {n: its for before in merged.values() for n, its in before.items()} | small
    name = hashlib.sha256(json.dumps(pack).encode()).hexdigest()[:16]
    loose = [str(home.validated / FEED / f"file_id={n}" / "rows.parquet") for n in small]
    rows = f"from read_parquet({constant(loose)}, hive_types = {{'file_id': bigint}})"
    if merged:
        before = [str(_path(home, name)) for name in merged]
        rows = f"from read_parquet({constant(before)}) union all by name {rows}"
    home.packs.mkdir(parents=True, exist_ok=True)
    beside = home.packs / f".{name}"
    try:
        duck.execute(f"copy ({rows}) to {literal(str(beside))} (format parquet, compression zstd)")
        beside.replace(_path(home, name))
    finally:  # on a full disk no trial leaves one
        beside.unlink(missing_ok=True)
    return name, pack


def _sweep(home: Home, packs: Iterable[str]) -> None:
    """Remove what the killed left, and packs that are good no more."""
    kept = {_list(home), *(_path(home, name) for name in packs)}
    for path in set(home.packs.glob("*")) - kept:
        path.unlink()


def _list(home: Home) -> Path:
    return home.packs / "packs.json"


def _path(home: Home, name: str) -> Path:
    return home.packs / f"{name}.parquet"


def _bytes(files: Pack) -> int:
    return sum(map(_size, files.values()))


def _size(stamp: str) -> int:
    return int(stamp.partition("-")[0])
