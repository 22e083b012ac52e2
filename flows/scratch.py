"""A scratch home: a home's history up to a day, to be gone on with differently. The landed rows are
linked and the store is copied; nothing is ever written to the home itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tessera import clock
from tessera.clock import stamp
from tessera.decide import policy
from tessera.home import Home
from tessera.land.land import ENGINE
from tessera.person.merge import send_round
from tessera.quoting import literal
from tessera.store import Connection, Store, queries
from tessera.workspace import CAMPAIGNS, Workspace

SQL = queries("flows", "scratch.sql")
Row = Mapping[str, Any]
FEEDS = {"landing": "landed", "validated": "judged"}  # folder of the home -> which files are linked
REACHABLE = "reachable"  # the source of the addresses and consents that are only assumed
WORDS = {  # what people say, and the column of when the home learnt of it
    "consent": "coalesce(noted_at, recorded_at)",
    "suppression": "since",
    "preference": "recorded_at",
    "answer": "answered_at",
    "signup": "confirmed_at",
    "card": "changed_at",
}


@dataclass(frozen=True)
class Rules:
    """What is done otherwise than the home's own project says; None: as it says."""

    policy: Path | None = None
    campaigns: Path | None = None


def open_scratch(ws: Workspace, root: Path, rules: Rules) -> Workspace:
    """A workspace at `ws.as_of` in a new home in `root`, which knows what `ws` knew by then."""
    project = _project(ws.project, root / "project", rules)
    overrides = {
        "home": root / "home",
        "project": project,
        "store_url": None,
        "messenger": "file",
        "snapshots_kept_days": 0,  # nobody comes back to a day that was simulated
    }
    scratch = Workspace(ws.settings.model_copy(update=overrides), ws.as_of)
    with ws.store.read() as source:
        _link_files(source, ws.home, scratch.home)
        _copy_store(source, scratch.store, start=stamp(ws.as_of), day=str(ws.business_date))
    _lend_parsed(ws.home, scratch.home)
    send_round(scratch)
    return scratch


def _project(own: Path, folder: Path, rules: Rules) -> Path:
    """The project's folders under another name, with other rules."""
    deployments = folder / "deployments"
    (deployments / "sources").mkdir(parents=True)
    for name in ("dbt", "expectations", "templates"):
        (folder / name).symlink_to((own / name).resolve())
    for path in (own / "deployments" / "sources").glob("*.y*ml"):
        (deployments / "sources" / path.name).symlink_to(path.resolve())
    (deployments / "programme.yml").symlink_to((own / "deployments" / "programme.yml").resolve())
    (folder / policy.FILE).symlink_to((rules.policy or own / policy.FILE).resolve())
    (folder / CAMPAIGNS).symlink_to((rules.campaigns or own / CAMPAIGNS).resolve())
    return folder


def _lend_parsed(home: Home, scratch: Home) -> None:
    """The models as dbt has parsed them, which takes it seconds; what does not fit it parses anew."""
    parsed = home.dbt / "target" / "partial_parse.msgpack"
    if parsed.exists():
        (scratch.dbt / "target").mkdir(parents=True)
        shutil.copy(parsed, scratch.dbt / "target")


def _link_files(store: Connection, home: Home, scratch: Home) -> None:
    """The engine's own rows are left out: those before the day come back by the front door."""
    for folder, query in FEEDS.items():
        for row in store.all(SQL[query], engine=ENGINE):
            place = Path(folder, row["feed"], f"file_id={row['file_id']}", "rows.parquet")
            if (home.root / place).exists():
                (scratch.root / place).parent.mkdir(parents=True)
                (scratch.root / place).symlink_to(home.root / place)


def _copy_store(source: Connection, target: Store, *, start: str, day: str) -> None:
    """What was known at the start: files, words, messages and what became of them; and who is one
    person, as it is known now. Points are reckoned anew from the receipts."""
    bounds = {"start": start, "day": day, "engine": ENGINE}
    with target.write() as scratch:
        for name in KNOWN:
            add(scratch, name, source.all(SQL[name], **bounds))
        for name in WORDS:
            add(scratch, name, words(source, name, "", start))


KNOWN = (
    *("landed_file", "readmission", "outbox", "provider_event", "campaign_version", "domain_day"),
    *("person_merge", "tier_move", "voucher_terms", "voucher", "reward_grant"),
    *("redemption", "redemption_member", "voucher_use"),
)


def words(store: Connection, table: str, after: str, until: str) -> list[Row]:
    """The rows of one of `WORDS` that the home learnt of later than one instant, up to another."""
    query = SQL["words"].format(table=table, told_at=WORDS[table])
    return store.all(query, after=after, until=until)


def add(scratch: Connection, table: str, rows: Sequence[Row]) -> None:
    """Those that are not there yet."""
    if rows:
        columns = list(rows[0])
        marks = ", ".join(f":{name}" for name in columns)
        query = SQL["add"].format(table=table, columns=", ".join(columns), marks=marks)
        scratch.run_many(query, rows)


def admit_engine(ws: Workspace) -> None:
    """The engine's own rows of closed days, past the door: it made them a moment ago, and to judge
    them would take as long as all the rest of the day."""
    last = [int(path.name.partition("=")[2]) for path in ws.home.validated.glob("*/file_id=*")]
    number = max(last, default=0)
    for path in sorted(ws.home.engine.glob("*/*.parquet")):
        if path.stat().st_size:
            number += 1
            _admit(path, ws.home.validated / path.parent.name / f"file_id={number}")
            os.truncate(path, 0)  # exported, and not to be exported again


def _admit(path: Path, folder: Path) -> None:
    rows = pq.read_table(path)
    numbers = pa.array(range(1, rows.num_rows + 1), pa.int64())
    folder.mkdir(parents=True)
    pq.write_table(rows.append_column("_row_number", numbers), folder / "rows.parquet")


def write_reachable(ws: Workspace, folder: Path) -> int:
    """Files of the source `reachable`, which give everybody an address and a yes who has said
    neither; how many people. Who is not registered is, as of the first purchase."""
    folder.mkdir(parents=True)
    feeds = {"customers": "reachable_customers", "consents": "reachable_consents"}
    with ws.marts() as duck:
        duck.execute("set variable start = ?", [clock.naive(ws.as_of)])
        people = int(duck.execute(SQL["reachable_people"]).fetchall()[0][0])
        names = {}
        for feed, query in feeds.items():
            target = literal(str(folder / f"{feed}.parquet"))
            duck.execute(f"copy ({SQL[query]}) to {target} (format parquet)")
            names[feed] = [column[0] for column in duck.execute(SQL[query]).description or ()]
    _write_mapping(ws, names)
    return people


def _write_mapping(ws: Workspace, feeds: Mapping[str, list[str]]) -> None:
    entries = {
        feed: [{"files": f"{feed}.parquet", "may_be_empty": True, "columns": {n: n for n in names}}]
        for feed, names in feeds.items()
    }
    mapping = {"source": REACHABLE, "timezone": "UTC", "currency": "EUR", "feeds": entries}
    path = ws.project / "deployments" / "sources" / f"{REACHABLE}.yml"
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
