"""What the provider accepted: the truth that tests compare with. Rows are only ever added."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tessera.errors import BadInput

SCHEMA = """
pragma journal_mode = wal;
create table if not exists request (
    number integer primary key, id text not null, answer text not null, status integer,
    messages integer not null, wire_bytes integer not null, json_bytes integer not null,
    batch_id text, at real not null
);
create table if not exists accepted (
    number integer primary key, request integer not null, channel text not null,
    send_key text not null, content_hash text not null, address text not null, category text,
    send_at integer, at real not null
);
"""


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire."""

    id: str
    wire_bytes: int
    json_bytes: int
    messages: int
    at: float
    batch_id: str | None = None


@dataclass(frozen=True)
class Accepted:
    """One message that is going to be sent."""

    channel: str
    send_key: str
    content_hash: str
    address: str
    category: str | None = None
    send_at: int | None = None


class Journal:
    """An SQLite file, or memory when no path is given."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None
            )
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise BadInput(f"{path} cannot be the journal: {error}; name another file.") from None

    def write(
        self, request: Request, answer: str, status: int | None, taken: Iterable[Accepted]
    ) -> None:
        """A request, what was answered, and what was accepted of it, in one transaction."""
        with self._lock, self._connection as connection:
            connection.execute("begin immediate")
            number = connection.execute(
                "insert into request (id, answer, status, messages, wire_bytes, json_bytes, "
                "batch_id, at) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (request.id, answer, status, request.messages, request.wire_bytes,
                 request.json_bytes, request.batch_id, request.at),
            ).lastrowid  # fmt: skip
            connection.executemany(
                "insert into accepted (request, channel, send_key, content_hash, address, "
                "category, send_at, at) values (?, ?, ?, ?, ?, ?, ?, ?)",
                [(number, one.channel, one.send_key, one.content_hash, one.address,
                  one.category, one.send_at, request.at) for one in taken],
            )  # fmt: skip

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def send_keys(self) -> list[str]:
        """Every acceptance, in its order: a key that is there twice was sent twice."""
        return [str(key) for (key,) in self.query("select send_key from accepted order by number")]

    def hashes(self) -> dict[str, str]:
        """The hash of what each message said, by send key."""
        rows = self.query("select send_key, content_hash from accepted")
        return {str(key): str(value) for key, value in rows}

    def totals(self) -> dict[str, int]:
        """Messages, different send keys, requests and bytes."""
        sql = (
            "select (select count(*) from accepted), (select count(distinct send_key) from "
            "accepted), count(*), coalesce(sum(wire_bytes), 0), coalesce(sum(json_bytes), 0) "
            "from request"
        )
        (row,) = self.query(sql)
        names = ("messages", "send_keys", "requests", "wire_bytes", "json_bytes")
        return {name: int(str(value)) for name, value in zip(names, row, strict=True)}

    def close(self) -> None:
        self._connection.close()
