"""Who a person is: every identifier and name that the home knows them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tessera.errors import BadInput
from tessera.home import Home
from tessera.land import erased
from tessera.quoting import constant
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.person", "identity.sql")
AT_ONCE = 1000  # files, of which DuckDB keeps 100 KB each until all are read
PROSPECT = "prospect:"  # and the prospect's key: the customer a prospect is


@dataclass(frozen=True)
class Identity:
    """A person's identifiers, and the texts they can be recognised by."""

    customers: frozenset[str] = frozenset()
    prospects: frozenset[str] = frozenset()
    cards: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # given and family names, each
    full_names: frozenset[str] = frozenset()
    send_keys: frozenset[str] = frozenset()

    def __or__(self, other: Identity) -> Identity:
        return Identity(
            **{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)}
        )

    @classmethod
    def of(cls, said: dict[str, Iterable[str]]) -> Identity:
        """From what `as_dict` gave."""
        return cls(**{name: frozenset(values) for name, values in said.items()})

    def as_dict(self) -> dict[str, list[str]]:
        return {f.name: sorted(getattr(self, f.name)) for f in fields(self)}

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """(kind, value) of what a landed row may name them by, raw lines included."""
        for kind in ("customer", "prospect", "card"):
            values = getattr(self, f"{kind}s")
            yield from ((kind, value) for value in values)
            words = (value.lower() for value in values if len(value) >= erased.SHORTEST)
            yield from ((erased.TOKEN, word) for word in words)
        yield from (("message", key) for key in self.send_keys)
        for word in self.emails | self.phones:
            yield erased.TOKEN, word.strip().lower()

    def unmistakable(self) -> frozenset[str]:
        """Texts that mean this person wherever they stand."""
        return frozenset(self.emails | self.phones | self.full_names)


def find(ws: Workspace, customer_id: str) -> Identity:
    """Everything the home knows the customer by; nothing but the id if it does not."""
    with _duck() as duck:
        return _Search(ws, duck, Identity(customers=numbers(ws, customer_id))).all()


def numbers(ws: Workspace, customer_id: str) -> frozenset[str]:
    """The customer's number, and those of who was found to be the same person."""
    with ws.store.read() as connection:
        pairs = connection.all(SQL["merged"])
    found = {customer_id, *_became(ws, customer_id)}
    while (
        more := {side for pair in pairs if found & set(pair.values()) for side in pair.values()}
        - found
    ):
        found |= more
    return frozenset(found)


def _became(ws: Workspace, prospect: str) -> set[str]:
    """The customer whom the marts know a prospect as by now, if it is one."""
    if not prospect.startswith(PROSPECT):
        return set()
    try:
        connection = ws.marts()
    except BadInput:  # nothing was published yet
        return set()
    with closing(connection):
        return {row[0] for row in connection.execute(SQL["became"], [prospect]).fetchall()}


@dataclass
class _Search:
    """One search; `found` grows from step to step."""

    ws: Workspace
    duck: duckdb.DuckDBPyConnection
    found: Identity

    def all(self) -> Identity:
        keys = (c.removeprefix(PROSPECT) for c in self.found.customers if c.startswith(PROSPECT))
        self.found |= Identity(prospects=frozenset(keys))
        self._people("registered", "customers")
        self._people("prospects", "prospects")
        own = frozenset(PROSPECT + key for key in self.found.prospects)
        self.found |= Identity(customers=own)
        self.found |= Identity(cards=self._cards(), send_keys=self._send_keys())
        return self.found

    def _people(self, query: str, feed: str) -> None:
        for row in self._rows(query, feed):
            self.found |= Identity(
                prospects=_texts(row.get("prospect_id")),
                emails=_texts(row["email"]),
                phones=_texts(row["phone"]),
                names=_texts(row["given_name"], row["family_name"]),
                full_names=_full(row["given_name"], row["family_name"]),
            )

    def _cards(self) -> frozenset[str]:
        # Which of a card's rows is the latest, landed files tell; the engine's own that are not landed yet
        # hold what tills did with cards, and so does the store.
        files = landed(self.ws.home, "cards")
        named = {row["card_id"] for row in self._of("cards", files, at_once=len(files))}
        own = {row["card_id"] for row in self._rows("own_card", "transactions")}
        others = {row["card_id"] for row in self._rows("others_cards", "cards")}
        return frozenset(named | (own - others) | self._published_cards() | self._tills_cards())

    def _tills_cards(self) -> set[str]:
        with self.ws.store.read() as store:
            return {
                row["card_id"]
                for customer_id in self.found.customers
                for row in store.all(SQL["tills_cards"], customer_id=customer_id)
            }

    def _published_cards(self) -> set[str]:
        try:
            connection = self.ws.marts()
        except BadInput:  # nothing was published yet
            return set()
        with closing(connection):
            if "card_owners" not in marts.current(self.ws.home).marts:
                return set()
            show(connection, self.found)
            return {row[0] for row in connection.execute(SQL["card_owners"]).fetchall()}

    def _send_keys(self) -> frozenset[str]:
        with self.ws.store.read() as connection:
            live = {
                row["send_key"]
                for customer_id in self.found.customers
                for row in connection.all(SQL["send_keys"], customer_id=customer_id)
            }
        return frozenset(live | {row["send_key"] for row in self._rows("messages", "messages")})

    def _rows(self, query: str, feed: str) -> list[dict[str, Any]]:
        """What the landed files answer, and the engine's own that are not landed yet."""
        own = sorted((self.ws.home.engine / feed).glob("*.parquet"))
        return [*self._of(query, landed(self.ws.home, feed)), *self._of(query, own)]

    def _of(self, query: str, files: list[Path], at_once: int = 0) -> list[dict[str, Any]]:
        if not files:
            return []
        show(self.duck, self.found)
        return [
            row
            for some in portions(files, at_once)
            for row in self.duck.execute(SQL[query].format(files=some)).to_arrow_table().to_pylist()
        ]


def show(duck: duckdb.DuckDBPyConnection, identity: Identity) -> None:
    """Make table `theirs` of the person's identifiers in the clear."""
    pairs = [*identity.identifiers(), *(("email", e.strip().lower()) for e in identity.emails)]
    who = pa.table(
        {
            "kind": pa.array([kind for kind, _ in pairs], pa.string()),
            "value": pa.array([value for _, value in pairs], pa.string()),
        }
    )
    duck.execute(erased.SQL["theirs"])
    duck.register("who", who)
    duck.execute(SQL["theirs"])
    duck.unregister("who")


@contextmanager
def shown(identity: Identity) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that knows whom we look for."""
    with _duck() as duck:
        show(duck, identity)
        yield duck


@contextmanager
def _duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """Each file is read once or twice: its blocks are not kept."""
    with closing(duckdb.connect(config={"enable_external_file_cache": False})) as duck:
        duck.execute("set TimeZone = 'UTC'")
        duck.execute(erased.SQL["macros"])
        yield duck


def landed(home: Home, feed: str) -> list[Path]:
    """The files of a feed, in the order they came."""
    return in_order(home.landing / feed)


def in_order(folder: Path) -> list[Path]:
    """What a folder has for each landed file, by its number."""
    return sorted(folder.glob("file_id=*/rows.parquet"), key=file_id)


def file_id(path: Path) -> int:
    """The number of the landed file that this is, or is made of."""
    return int(path.parent.name.removeprefix("file_id="))


def portions(files: Sequence[Path], at_once: int = 0) -> Iterator[str]:
    """The files, so many at once, as DuckDB reads a list of them."""
    size = at_once or AT_ONCE
    for start in range(0, len(files), size):
        yield constant([str(path) for path in files[start : start + size]])


def _texts(*values: str | None) -> frozenset[str]:
    return frozenset(value for value in values if value)


def _full(given: str | None, family: str | None) -> frozenset[str]:
    if not given or not family:
        return frozenset()
    return frozenset((f"{given} {family}", f"{family} {given}", f"{family}, {given}"))
