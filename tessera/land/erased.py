"""Erased people stay away: the rows of a file that are about them are not landed.

The store keeps keyed hashes of their identifiers. Receipts stay as sales to nobody, so that the
shop's figures stay true; every other row goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from tessera.errors import BadInput
from tessera.feeds import Feed
from tessera.keyfile import key_in
from tessera.quoting import literal, name
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.land", "erased.sql")
KINDS = {
    "customer_id": "customer",
    "into_customer_id": "customer",
    "prospect_id": "prospect",
    "card_id": "card",
    "send_key": "message",
}
SIDES = ("debit", "credit")  # of a transfer
LEDGER = ("point_transfers", "lots", "point_balances")  # must add up: rows stay, under another name
TOKEN = "token"  # noqa: S105 - a word of a raw line, whichever column it would have been
SHORTEST = 5  # characters of an identifier that is looked for in raw lines: 17 may be a quantity
CHECK = ("check", "")  # its hash says whether the key is the one the others were made with
NOBODY = "erased"


@dataclass(frozen=True)
class Keyring:
    """The key of the hashes; it is not in the store, whose copies then tell nothing."""

    key: str

    @classmethod
    def of(cls, ws: Workspace) -> Keyring:
        """The setting, or a random key made once and kept in the home; BadInput when it is not
        the one the store's hashes were made with."""
        with ws.store.read() as connection:
            known = {(row["kind"], row["hash"]) for row in connection.all(SQL["all"])}
        ring = cls(_key(ws, may_make=not known) or "")
        if known and (CHECK[0], ring.hash(*CHECK)) not in known:
            raise BadInput(
                f"The key of erased people is not the one they were erased with: put "
                f"{_path(ws)} back from a backup, or set TESSERA_ERASURE_KEY to what it was."
            )
        return ring

    def hash(self, kind: str, value: str) -> str:
        """As the macro `keyed` has it."""
        return _sha256(self.key + _sha256(f"{self.key}{kind}:{value}"))

    def person(self, customer_id: str) -> str:
        """How the audit log and the proofs call a customer."""
        return f"person {self.hash('person', customer_id)[:16]}"

    def add(self, connection: Connection, identifiers: Iterable[tuple[str, str]]) -> None:
        """From now on rows with these identifiers (kind, value) are not landed."""
        rows = [{"kind": k, "hash": self.hash(k, v)} for k, v in (CHECK, *identifiers)]
        connection.run_many(SQL["add"], rows)


def is_erased(ws: Workspace, connection: Connection, cards: Iterable[str]) -> bool:
    """Whether any of these cards was somebody's who was erased. BadInput as `Keyring.of`."""
    if not connection.scalar(SQL["anybody"]):
        return False  # and no key is made
    ring = Keyring.of(ws)
    hashes = [ring.hash("card", card) for card in cards]
    return any(connection.scalar(SQL["is_known"], hash=one) for one in hashes)


def _key(ws: Workspace, *, may_make: bool) -> str | None:
    if ws.settings.erasure_key is not None:
        return ws.settings.erasure_key.get_secret_value()
    return key_in(_path(ws)) if may_make or _path(ws).exists() else None


def _path(ws: Workspace) -> Path:
    return ws.home.root / "erasure_key"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Erased:
    """The hashes a landing holds its rows against."""

    ring: Keyring
    hashes: pa.Table  # kind, hash

    @classmethod
    def load(cls, ws: Workspace) -> Erased | None:
        """None when nobody was erased."""
        schema = pa.schema({"kind": pa.string(), "hash": pa.string()})
        with ws.store.read() as connection:
            hashes = connection.arrow(SQL["all"], schema)
        return cls(Keyring.of(ws), hashes) if hashes.num_rows else None

    def leave_out(self, duck: duckdb.DuckDBPyConnection, feed: Feed, parquet: Path) -> int:
        """Rewrite a converted file without the rows of erased people; how many it had."""
        duck.register("erased", self.hashes)
        duck.execute(f"set variable erasure_key = {literal(self.ring.key)}")
        duck.execute(SQL["macros"])
        duck.execute(SQL["theirs"])
        rows = f"read_parquet({literal(str(parquet))})"
        for kind, value in _values(feed):
            duck.execute(SQL["known"].format(kind=kind, value=value, rows=rows))
        found = duck.execute(f"select count(*) from {rows} where {is_theirs(feed)}").fetchall()
        if found[0][0]:
            rewrite(duck, parquet, kept(feed, rows))
        duck.unregister("erased")
        return int(found[0][0])


def _values(feed: Feed) -> Iterator[tuple[str, str]]:
    """Each kind of identifier that the feed's rows may hold, and the SQL that gives it."""
    yield from _places(feed, name)
    yield TOKEN, "unnest(tokens(_cast_errors['_row']))"


def _places(feed: Feed, get: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    for column, kind in KINDS.items():
        if column in feed.columns:
            yield kind, get(column)
    for side in SIDES:
        if side in feed.columns:
            yield "customer", f"owner({get(side)})"


def is_theirs(
    feed: Feed, get: Callable[[str], str] = name, raw: str = "_cast_errors['_row']"
) -> str:
    """The condition that a row is about somebody in table `theirs`; never null. `get` is the SQL
    for a column's value, `raw` for the line of a row that could not be read."""
    tests = [_is_in(kind, value) for kind, value in _places(feed, get)]
    words = f"(select list(value) from theirs where kind = '{TOKEN}')"
    tests.append(f"list_has_any(tokens({raw}), {words})")
    return " or ".join(f"coalesce({test}, false)" for test in tests)


def _is_in(kind: str, value: str) -> str:
    return f"{value} in (select value from theirs where kind = '{kind}')"


def _nobody(_owner: str) -> str:
    return literal(NOBODY)


def kept(feed: Feed, rows: str, nobody: Callable[[str], str] = _nobody) -> str:
    """What stays of `rows`: receipts without their card, the ledger's under the name that `nobody`
    gives (as SQL, for the SQL of a customer)."""
    theirs = is_theirs(feed)
    if feed.name == "transactions":
        changed = f"case when not ({theirs}) then card_id end as card_id"
    elif feed.name in LEDGER:
        mine = _is_in("customer", "customer_id")
        own = f"case when {mine} then {nobody('customer_id')} else customer_id end as customer_id"
        sides = (_renamed(side, nobody) for side in SIDES if side in feed.columns)
        changed = ", ".join([own, *sides])
    else:
        return f"select * from {rows} where not ({theirs})"
    is_readable = f"_cast_errors['_row'] is null or not ({theirs})"
    return f"select * replace ({changed}) from {rows} where {is_readable}"


def _renamed(side: str, nobody: Callable[[str], str]) -> str:
    owner, bucket = f"owner({side})", f"regexp_extract({side}, '[^:]*$')"
    name = f"concat('member:', {nobody(owner)}, ':', {bucket})"
    return f"case when {_is_in('customer', owner)} then {name} else {side} end as {side}"


def rewrite(duck: duckdb.DuckDBPyConnection, parquet: Path, query: str) -> None:
    """Put what `query` gives in the place of a file, which it may read."""
    beside = parquet.with_name(f".{parquet.name}.part")
    duck.execute(f"copy ({query}) to {literal(str(beside))} (format parquet, compression zstd)")
    beside.replace(parquet)
