"""The erasure: a person is forgotten, all of it or, after a kill, all of it at the next call.

First a journal says who it is about; then one transaction of the store takes everything there
away, for good, and closes the door; then the files go, the landed ones first. The journal, which
alone could tell afterwards, goes last.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from tessera import audit, clock
from tessera.errors import BadInput
from tessera.feeds import FEEDS
from tessera.home import Home
from tessera.land import manifest, spool
from tessera.land.erased import Keyring
from tessera.locks import alone_in
from tessera.person import files, records
from tessera.person import identity as who
from tessera.person.held import held, written
from tessera.person.identity import Identity
from tessera.person.sweep import Sweep
from tessera.quoting import literal
from tessera.report import runs
from tessera.warehouse.inputs import forget_warehouse, replace_text
from tessera.workspace import Workspace

KEPT = {"store suppression"}
TIMES = 3


@dataclass(frozen=True)
class Erasure:
    """The proof: when, by whom, how much, and a hash that says of whom."""

    person: str
    operator: str
    begun_at: str
    finished_at: str | None
    rows: dict[str, int]  # that were held, by place


class OnItsWay(BadInput):
    """A provider is being called with a message to the person."""

    def __init__(self) -> None:
        super().__init__(
            "A message to this customer is being sent right now; run the same command again in a "
            "minute, after 'tessera send' if its sender died."
        )


def erase(ws: Workspace, customer_id: str, say: Callable[[str], None] = lambda _: None) -> Erasure:
    """Forget the customer, and finish what was begun before; BadInput when nothing is held and
    nobody of that id was erased, or when a message is on its way to them."""
    person = Keyring.of(ws).person(customer_id)
    with runs.alone(ws, say):
        resume(ws)
        identity = who.find(ws, customer_id)
        found = {place: len(rows) for place, rows in held(ws, identity).items()}
        if found:
            _refuse_on_its_way(ws, identity)
            _carry_out(ws, Journal.begin(ws, person, identity, found))
    with ws.store.read() as connection:
        proof = connection.one(records.SQL["proof"], person=person)
    if proof is None:
        raise BadInput(f"Nothing is held about a customer '{customer_id}'; check the id.")
    return Erasure(
        **{k: proof[k] for k in proof if k != "counts"}, rows=json.loads(proof["counts"])
    )


def resume(ws: Workspace) -> int:
    """Finish the erasures that were killed; how many were. To be called by whoever holds the home's run
    lock, before anything is decided about anybody."""
    done = 0
    for path in sorted(_folder(ws).glob("*.json")):
        with suppress(OnItsWay):  # nothing of it was done, and the sender is on today's way
            _carry_out(ws, Journal.read(path))
            done += 1
    return done


def _folder(ws: Workspace) -> Path:
    return ws.home.root / "erasing"


@dataclass(frozen=True)
class Journal:
    """An erasure under way: whom it is about, in the clear, until it is done."""

    path: Path
    person: str
    nobody: str  # what the ledger calls them from now on; it is written down nowhere else
    begun_at: str
    rows: dict[str, int]
    identity: Identity

    @classmethod
    def begin(
        cls, ws: Workspace, person: str, identity: Identity, found: dict[str, int]
    ) -> Journal:
        path = _folder(ws) / f"{person.replace(' ', '-')}.json"
        said = {
            "person": person,
            "nobody": f"erased-{secrets.token_hex(8)}",
            "begun_at": clock.stamp(clock.now()),
            "rows": found,
            "identity": identity.as_dict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_text(path, json.dumps(said))
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Journal:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, **{**said, "identity": Identity.of(said["identity"])})

    @property
    def names(self) -> dict[str, str]:
        """What each of the person's customers is called in the ledger from now on."""
        return {c: f"{self.nobody}-{n}" for n, c in enumerate(sorted(self.identity.customers), 1)}

    def persons(self, ring: Keyring) -> list[str]:
        """How the proofs call them: by each number they had, whichever is asked for later."""
        return sorted({self.person, *map(ring.person, self.identity.customers)})

    def renamed(self, customer: str) -> str:
        """The same as SQL, for the SQL of a customer."""
        known = ", ".join(literal(its) for its in self.names)
        return f"concat('{self.nobody}-', list_position([{known}], {customer}))"


def _carry_out(ws: Workspace, journal: Journal) -> None:
    """Forget, and look again: whoever was deciding meanwhile may have written something down."""
    for _ in range(TIMES):
        _forget_records(ws, journal)
        spool.settle(ws)
        with _alone(ws.home):
            _forget_files(ws, journal)
        if not set(held(ws, journal.identity)) - KEPT:
            break
    else:
        raise BadInput("Rows about this customer are still being written; run it again later.")
    _sweep(ws, journal)
    with ws.store.write() as connection:
        at = clock.stamp(clock.now())
        persons = journal.persons(Keyring.of(ws))
        connection.run_many(records.SQL["finish"], [{"person": one, "at": at} for one in persons])
    shrink(ws.store.engine)
    journal.path.unlink()
    for half in journal.path.parent.glob(f".{journal.path.name}.*"):
        half.unlink()


def _sweep(ws: Workspace, journal: Journal) -> None:
    left = Sweep(ws, journal.identity, spared=journal.path).clean()
    if left:
        names = ", ".join(str(path.relative_to(ws.home.root)) for path in left)
        raise BadInput(
            f"The person is erased but for {names} in {ws.home.root}, which cannot be cleaned; "
            "remove these files and run the same command again."
        )


def _forget_records(ws: Workspace, journal: Journal) -> None:
    """The store's part, all of it or nothing: from here on nobody writes to the person, and no
    file brings them back."""
    identity = journal.identity
    with ws.store.write() as connection:
        if connection.dialect == "sqlite":
            connection.sql.exec_driver_sql("pragma secure_delete = on")
        if records.on_its_way(connection, identity):
            raise OnItsWay
        ring = Keyring.of(ws)
        said = {
            "operator": audit.operator(ws),
            "at": journal.begun_at,
            "counts": json.dumps(journal.rows),
        }
        proofs = [{"person": person, **said} for person in journal.persons(ring)]
        if connection.run_many(records.SQL["begin"], proofs):
            audit.record(ws, connection, "erase", journal.person, rows=journal.rows)
        ring.add(connection, identity.identifiers())
        records.forget(connection, identity, journal.names, journal.begun_at)
        records.suppress(connection, identity, journal.begun_at)


def _refuse_on_its_way(ws: Workspace, identity: Identity) -> None:
    with ws.store.read() as connection:
        if records.on_its_way(connection, identity):
            raise OnItsWay


def _forget_files(ws: Workspace, journal: Journal) -> None:
    for path in written(ws, journal.identity):
        path.unlink()
    with who.shown(journal.identity) as duck:
        rows = files.Files(ws.home, duck, journal.renamed)
        rows.forget()
        for feed in FEEDS.values():
            for before, after in rows.engine(feed):
                with ws.store.write() as connection:
                    values = {"feed": feed.name, "old": before, "new": after}
                    connection.run(records.SQL["engine_file"], **values)
    with ws.store.write() as connection:
        files.recount(ws.home, connection)
    forget_warehouse(ws.home)
    for name in ("preview", "exports", "tmp", "dbt/spill", "dbt/packs", "know"):
        shutil.rmtree(ws.home.root / name, ignore_errors=True)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Nobody judges, builds, indexes or lands meanwhile."""
    with ExitStack() as stack:
        for folder in (home.validated, home.dbt, home.decision_index):
            stack.enter_context(alone_in(folder))
        stack.enter_context(manifest.locked(home))
        yield


def shrink(engine: Engine) -> None:
    """Have the database write itself anew: what was deleted is still in its pages, and on SQLite
    in its log, for as long as somebody reads it."""
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum full")
        return
    with closing(engine.raw_connection()) as raw:
        cursor = raw.cursor()
        cursor.execute("vacuum")
        if cursor.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
            raise BadInput(
                "The person is erased, but somebody is reading the store, so that its log could not "
                "be emptied; run the same command again."
            )
