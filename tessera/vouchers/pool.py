"""Pools of codes: made or imported by the million, reserved with a message, told of by state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tessera import clock
from tessera.errors import BadInput
from tessera.store import Connection, Store, queries
from tessera.vouchers import codes
from tessera.vouchers.terms import Terms

SQL = queries("tessera.vouchers", "pool.sql")
Row = Mapping[str, Any]
CODE_MAX = 64  # of somebody else's


def lock(store: Connection) -> None:
    """One pass at a time gives codes, and none of those that it counted goes meanwhile; on SQLite the write
    transaction is the lock."""
    if store.dialect == "postgresql":
        store.scalar(SQL["lock"])


def keep_terms(store: Connection, reward: str, terms: Terms) -> str:
    """Write down what codes of `reward` promise from now on; the name of these terms."""
    version = terms.version(reward)
    store.run(SQL["keep_terms"], terms=version, reward=reward, body=terms.body)
    return version


def make(
    store: Connection,
    reward: str,
    terms: Terms,
    *,
    count: int,
    batch: str,
    at: datetime,
) -> list[str]:
    """`count` new codes of the pool `batch`; either all of them are there afterwards, or none."""
    made = codes.make(count)
    add(store, reward, terms, made, batch=batch, at=at)
    return made


def add(
    store: Connection,
    reward: str,
    terms: Terms,
    found: Sequence[str],
    *,
    batch: str | None,
    at: datetime,
    customers: Sequence[str] | None = None,
    day: date | None = None,
) -> int:
    """Insert codes; how many were new. `day` is the one they are given on, if they are."""
    count = len(found)
    last = terms.last_day(day) if day else terms.valid_until
    columns = {
        "code": pa.array(found, pa.string()),
        "reward": pa.repeat(reward, count),
        "terms": pa.repeat(keep_terms(store, reward, terms), count),
        "batch": pa.array([batch] * count, pa.string()),
        "customer_id": pa.array(customers or pa.nulls(count), pa.string()),
        "uses": pa.repeat(terms.uses, count),
        "valid_from": pa.array([_iso(terms.valid_from)] * count, pa.string()),
        "valid_until": pa.array([_iso(last)] * count, pa.string()),
        "made_at": pa.repeat(clock.stamp(at), count),
    }
    return store.insert_new("voucher", pa.table(columns))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def has_batch(store: Connection, reward: str, batch: str) -> bool:
    """Whether codes of this reward are called so already."""
    return bool(store.scalar(SQL["has_batch"], reward=reward, batch=batch))


def write_codes(path: Path, made: Sequence[str]) -> None:
    """One code a line, to be printed; the file appears whole, readable by its owner only."""
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text("".join(f"{codes.spoken(code)}\n" for code in made), encoding="ascii")
    beside.replace(path)


def read_codes(path: Path) -> list[str]:
    """The codes of a file, one a line, or its column `code`; BadInput names the first bad one."""
    with duckdb.connect() as duck:
        try:
            found = duck.execute(SQL["read_codes"], {"path": str(path)}).fetchall()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{path} cannot be read as a list of codes: {reason}") from None
    read = [codes.tidy(text or "") for (text,) in found]
    if read[:1] == [codes.tidy("code")]:
        read = read[1:]
    for number, code in enumerate(read, 1):
        if code == codes.TEST_CODE or not (
            code.isascii() and code.isalnum() and len(code) <= CODE_MAX
        ):
            raise BadInput(
                f"{path}: code {number} is '{code[:CODE_MAX]}'; write letters and digits, not those of "
                "previews."
            )
    if len(set(read)) < len(read):
        raise BadInput(f"{path} names {len(read) - len(set(read)):,} codes twice; take them out.")
    return read


def free(store: Connection, reward: str, terms: Terms, day: date) -> int:
    """How many codes of the reward's pool may be given on `day`."""
    last = terms.last_day(day)
    if last is not None and last < day:
        return 0
    query = SQL["count_free"].format(free=SQL["free"])
    return int(store.scalar(query, reward=reward, unheard=_unheard(day)))


def reserve(
    store: Connection, grants: pa.Table, terms: Mapping[str, Terms], *, day: date, at: datetime
) -> pa.Table:
    """`grants` (send_key, reward, customer_id) with a code each, which nobody else gets while the
    message may still go out. In the transaction that writes the messages."""
    parts = []
    for reward in grants["reward"].unique().to_pylist():
        its, part = terms.get(reward, Terms()), grants.filter(pc.equal(grants["reward"], reward))
        if its.codes == "pool":
            found = _take(store, reward, its, part, day)
        else:
            found = codes.make(part.num_rows)
            people = part["customer_id"].to_pylist() if its.per_customer else None
            add(store, reward, its, found, batch=None, at=at, customers=people, day=day)
        parts.append(part.append_column("code", pa.array(found, pa.string())))
    empty = grants.append_column("code", pa.nulls(grants.num_rows, pa.string()))
    return pa.concat_tables(parts) if parts else empty


def _take(store: Connection, reward: str, terms: Terms, grants: pa.Table, day: date) -> list[str]:
    """Codes of the pool; those of messages that never left are given again."""
    query = SQL["take"].format(free=SQL["free"])
    rows = store.all(query, reward=reward, count=grants.num_rows, unheard=_unheard(day))
    taken = [row["code"] for row in rows]
    if len(taken) < grants.num_rows:
        raise BadInput(
            f"The pool of '{reward}' has {len(taken):,} codes left for {grants.num_rows:,} messages; "
            "make or import more with 'tessera voucher'."
        )
    people = grants["customer_id"].to_pylist() if terms.per_customer else [None] * len(taken)
    store.run(SQL["forget_dead"].format(codes=store.listed("codes")), codes=json.dumps(taken))
    store.run(
        SQL["give"].format(people=store.paired("people")),
        people=json.dumps(dict(zip(taken, people, strict=True))),
        terms=keep_terms(store, reward, terms),
        uses=terms.uses,
        valid_from=_iso(terms.valid_from),
        valid_until=_iso(terms.last_day(day)),
    )
    return taken


def withdraw(store: Connection, typed: Sequence[str], at: datetime) -> int:
    """Codes that are worth nothing from now on; how many were worth something. BadInput when there is one
    that was never made or imported: none is withdrawn then."""
    lock(store)
    codes_ = [codes.tidy(code) for code in typed]
    listed = SQL["known"].format(codes=store.listed("codes"))
    known = {row["code"] for row in store.all(listed, codes=json.dumps(codes_))}
    for code, said in zip(codes_, typed, strict=True):
        if code not in known:
            raise BadInput(f"There is no code '{said}'; nothing was withdrawn.{slip(code)}")
    query = SQL["withdraw"].format(codes=store.listed("codes"))
    return store.run(query, codes=json.dumps(codes_), at=clock.stamp(at))


def slip(code: str) -> str:
    """What may be wrong with a tidied code that is not there."""
    return "" if codes.is_good(code) else " It has a slip of the pen in it."


def summary(store: Store, *, at: datetime, day: date) -> list[Row]:
    """Every reward and batch: its codes by state."""
    with store.read() as connection:
        states = SQL["states"].format(which="true")
        return connection.all(SQL["summary"].format(states=states), **_moment(at, day))


def show(store: Store, code: str, *, at: datetime, day: date) -> Row | None:
    """One code and its state; nobody's name."""
    states = SQL["states"].format(which="voucher_use.code = :code")
    with store.read() as connection:
        query = f"{states} where voucher.code = :code"
        return connection.one(query, code=codes.tidy(code), **_moment(at, day))


def uses(store: Store, code: str) -> list[Row]:
    """Where and when a code was used or held."""
    with store.read() as connection:
        return connection.all(SQL["uses"], code=codes.tidy(code))


def of_messages(store: Store, send_keys: Sequence[str], day: date) -> dict[str, Row]:
    """The voucher that each of these messages, sent on `day`, brings or tells: `code` as it is read,
    `valid_until`."""
    with store.read() as connection:
        query = SQL["of_messages"].format(keys=connection.listed("keys"))
        rows = connection.all(query, keys=json.dumps(list(send_keys)), day=day.isoformat())
    return {
        row["send_key"]: {
            "code": codes.spoken(row["code"]),
            "valid_until": date.fromisoformat(row["valid_until"]) if row["valid_until"] else None,
        }
        for row in rows
    }


def of_members(store: Store, customers: Sequence[str]) -> dict[str, str]:
    """The code of their own that each member may pass on to friends, as it is read."""
    with store.read() as connection:
        query = SQL["of_members"].format(customers=connection.listed("customers"))
        rows = connection.all(query, customers=json.dumps(list(customers)))
    return {row["customer_id"]: codes.spoken(row["code"]) for row in rows}


def _moment(at: datetime, day: date) -> dict[str, str]:
    return {"at": clock.stamp(at), "day": day.isoformat(), "unheard": _unheard(day)}


def _unheard(day: date) -> str:
    """Of a message that was due before, it is known whether it could be held back at the provider."""
    return (day - timedelta(days=1)).isoformat()
