"""Two customers who are one person: a row in the store, which comes in by the front door.

It is exported among the engine's own rows, landed and validated; the models then give the cards,
receipts and answers of the one to the other. Taking it back is the same row, in force no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tessera import audit, clock
from tessera.errors import BadInput
from tessera.land.erased import Keyring
from tessera.person.held import held
from tessera.person.identity import PROSPECT, Identity
from tessera.store import Connection, queries
from tessera.workspace import Workspace

SQL = queries("tessera.person", "merge.sql")
COLUMNS = ("customer_id", "into_customer_id", "is_in_force", "recorded_at")


def merge(ws: Workspace, keep: str, other: str) -> str:
    """From the next run on `other` is `keep`; a sentence about it. BadInput when one of them is
    part of another merge, or a prospect, who is merged by address."""
    merge_all(ws, [(keep, other)])
    return f"From the next 'tessera run' on '{other}' is '{keep}'; --undo takes it back."


def refuse_strangers(ws: Workspace, *customers: str) -> None:
    """BadInput when nothing is held about one of them: a slip of the pen, or somebody erased, whose
    number would be written down again."""
    for customer in customers:
        if not set(held(ws, Identity(customers=frozenset({customer})))) - {"store person_merge"}:
            raise BadInput(f"Nothing is held about a customer '{customer}'; check the id.")


def merge_all(ws: Workspace, pairs: Sequence[tuple[str, str]]) -> None:
    """The same of many pairs of who stays and who is the same person: all of them, or none."""
    with ws.store.write() as connection:
        for keep, other in pairs:
            _check(connection, keep, other)
            _write(ws, connection, keep, other, is_in_force=1)
    send_round(ws)


def _check(connection: Connection, keep: str, other: str) -> None:
    if keep == other:
        raise BadInput(f"'{keep}' and '{other}' are one customer already.")
    if keep.startswith(PROSPECT) or other.startswith(PROSPECT):
        raise BadInput("A prospect becomes the customer with the same address; merge customers.")
    for row in connection.all(SQL["touching"], keep=keep, other=other):
        if (row["customer_id"], row["into_customer_id"]) != (other, keep):
            raise BadInput(
                f"'{row['customer_id']}' is merged into '{row['into_customer_id']}' already: "
                f"merge into '{row['into_customer_id']}', or undo that first."
            )


def undo(ws: Workspace, keep: str, other: str) -> str:
    """From the next run on they are two again, for good; BadInput when they are not merged."""
    with ws.store.write() as connection:
        if not connection.one(SQL["merged"], keep=keep, other=other):
            raise BadInput(f"'{other}' is not merged into '{keep}'.")
        _write(ws, connection, keep, other, is_in_force=0)
        set_apart(connection, keep, other)
    send_round(ws)
    return f"From the next 'tessera run' on '{keep}' and '{other}' are two customers again."


def set_apart(connection: Connection, one: str, other: str) -> None:
    """Nobody is asked again whether these two are one."""
    first, second = sorted((one, other))
    connection.run(SQL["set_apart"], first=first, second=second, at=clock.now().isoformat())


def _write(
    ws: Workspace, connection: Connection, keep: str, other: str, *, is_in_force: int
) -> None:
    ring, at = Keyring.of(ws), clock.now().isoformat()
    connection.run(SQL["write"], keep=keep, other=other, is_in_force=is_in_force, at=at)
    if is_in_force:  # who merges two has thought better of it
        first, second = sorted((keep, other))
        connection.run(SQL["join"], first=first, second=second)
    action = "merge" if is_in_force else "undo merge"
    audit.record(ws, connection, action, ring.person(keep), other=ring.person(other))


def send_round(ws: Workspace) -> None:
    """Export what the store says now; whoever was killed before this says it again and does."""
    with ws.store.read() as connection:
        rows = connection.arrow(SQL["all"], pa.schema([(name, pa.string()) for name in COLUMNS]))
    if not rows.num_rows:
        return
    typed = pa.table(
        {
            "customer_id": rows["customer_id"],
            "into_customer_id": rows["into_customer_id"],
            "is_in_force": pc.equal(rows["is_in_force"], "1"),
            "recorded_at": rows["recorded_at"]
            .cast(pa.timestamp("us", "UTC"))
            .cast(pa.timestamp("us")),
        }
    )
    last = max(rows["recorded_at"].to_pylist()).replace(":", "")
    folder = ws.home.engine / "person_merges"
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{last}.part"
    pq.write_table(typed, beside, compression="zstd")
    beside.replace(folder / f"{last}.parquet")
