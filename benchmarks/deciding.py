"""One pass over a million customers times twelve campaigns, all rules on: caps per person, household
and tag, a gap, fatigue, a rhythm, control groups, journeys with conditions and exits, variants and a
place reserved, with a message of the last weeks for each customer in the store, and for a tenth of
them once more with twenty of a year. Beside it the bare DuckDB
join of the same inputs, and the plain model of the tests, one candidate after another, on a sample.
`candidates a second` says whether the time grows in line with the customers. Each is a process of
its own, of which the highest memory is told."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from benchmarks._steps import Step, measured, peak, run, shown, spent
from tessera.settings import CHECKOUT
from tessera.store import Store
from tessera.testing import AUDIENCE, MARTS, workspace

DAY = "2026-03-31"
SIZES = (10_000, 100_000, 1_000_000)
CAMPAIGNS = 12
YEAR = 20  # messages that each customer had in a year, at one of the sizes
SAMPLE = 2_000  # customers that the plain model judges
POLICY = {
    "caps": [
        {"purpose": "marketing", "max": 1, "days": 1},
        {"purpose": "marketing", "max": 3, "days": 7},
        {"purpose": "marketing", "max": 2, "days": 2, "per": "household"},
        {"purpose": "marketing", "max": 2, "days": 14, "tag": "offer"},
    ],
    "min_gap_hours": 20,
    "fatigue": [
        {"level": "tired", "unread": 3, "silent_days": 7, "caps": [{"max": 1, "days": 7}]},
        {"level": "sunset", "unread": 8, "silent_days": 90, "caps": [{"max": 0, "days": 1}]},
    ],
    "reserve_days": 2,
    "global_control_group_share": 0.02,
}


def campaign(number: int) -> dict[str, Any]:
    """Every second one has variants, every third is an offer, the last comes the day after."""
    first: dict[str, Any] = {"name": "first", "template": f"c{number}/first"}
    if number % 2:
        variants = [{"name": n, "template": f"c{number}/{n}"} for n in "abc"]
        first = {"name": "first", "variants": variants}
    second = {"name": "second", "template": f"c{number}/second", "after": "7d",
              "only_if": {"step": "first", "was": "not_clicked"}}  # fmt: skip
    return {
        "campaign": f"c{number}",
        "purpose": "marketing",
        "tags": ["offer"] if number % 3 == 0 else [],
        "audience": f"a{number}",
        "priority": number * 5,
        "schedule": "0 9 1 4 *" if number == CAMPAIGNS - 1 else "0 9 * * *",
        "control_group_share": 0.1,
        "re_entry_after_days": 60,
        "exit_on": ["purchased", "clicked"],
        "cadence": "nurture" if number == 1 else None,
        "steps": [first, second],
    }


def project(folder: Path, campaigns: Iterable[Mapping[str, Any]]) -> None:
    """Campaign files and policy."""
    deployments = folder / "project" / "deployments"
    (deployments / "campaigns").mkdir(parents=True)
    (deployments / "contact_policy.yml").write_text(yaml.safe_dump(POLICY))
    for one in campaigns:
        (deployments / "campaigns" / f"{one['campaign']}.yml").write_text(yaml.safe_dump(one))
    templates = folder / "project" / "templates"
    shutil.copytree(CHECKOUT / "templates", templates)
    for name in ("first", "second", "a", "b", "c"):
        for number in range(CAMPAIGNS):
            (templates / f"c{number}").mkdir(exist_ok=True)
            (templates / f"c{number}" / name).symlink_to(templates / "winback" / "reminder")


def prepare(
    folder: Path,
    customers: int,
    each: int = 1,
    campaigns: Iterable[Mapping[str, Any]] = tuple(map(campaign, range(CAMPAIGNS))),
) -> dict[str, Any]:
    """Marts and a store with three weeks of messages, a third of them opened; `each` customer has so
    many, the earlier ones further and further back."""
    project(folder, campaigns)
    ws = workspace(folder / "home", DAY, project=folder / "project")
    with duckdb.connect() as db:
        db.execute(f"create table n as select range as i from range({customers})")
        for mart, query in _marts().items():
            _publish(db, ws.home.marts / "made" / mart, query)
        names = list(_marts())
        current = {"name": "made", "as_of": ws.as_of.isoformat(), "built_at": ws.as_of.isoformat(),
                   "marts": {name: f"made/{name}/*.parquet" for name in names}}  # fmt: skip
        (ws.home.marts / "current.json").write_text(json.dumps(current))
        _fill(ws.store, db, each)
    os.sync()  # or the pass's commit would wait until all of this is on the disk
    return {}


def _publish(db: duckdb.DuckDBPyConnection, folder: Path, query: str) -> None:
    folder.mkdir(parents=True)
    db.execute(f"copy ({query}) to '{folder}/rows.parquet' (format parquet, compression zstd)")


def _marts() -> dict[str, str]:
    given = {
        "customer_id": "'C' || i",
        "household_id": "if(i % 3 = 0, null, 'H' || (i // 2))",
        "email": "'c' || i || '@shop.example'",
        "language": "['en', 'de', 'el', 'fa'][1 + i % 4]",
        "timezone": "['Europe/Athens', 'America/New_York', 'Asia/Tehran', 'Pacific/Auckland'][1 + i % 4]",
        "has_complaint_open": "i % 200 = 0",
        "last_purchase_at": "timestamp '2026-01-01' + to_days(cast(i % 85 as integer))",
        "receipts": "i % 50",
        "revenue": "i * 7919 % 100_000",
    }
    customers = ", ".join(
        f"{given[name]} as {name}" if name in given else f"null::{kind} as {name}"
        for name, kind in MARTS["customers"].items()
    )
    consents = (
        "select 'C' || i as customer_id, 'email' as channel, 'marketing' as purpose, 'till' as origin, "
        "null::varchar as wording_version, i % 10 <> 0 as granted, timestamp '2025-01-01' as recorded_at from n"
    )
    audience = (
        "select 'C' || i as customer_id, 'first' as occurrence, date '2026-03-20' as entered_on, "
        "(i * {salt}) % 5000 as expected_value from n"
    )
    assert set(AUDIENCE) == {"customer_id", "occurrence", "entered_on", "expected_value"}
    return {
        "customers": f"select {customers} from n",
        "consents": consents,
        **{f"audience_a{k}": audience.format(salt=7919 + k) for k in range(CAMPAIGNS)},
    }


def _fill(store: Store, db: duckdb.DuckDBPyConnection, each: int) -> None:
    sent = f"""
        select
            md5('m' || i || '/' || nth) as send_key, 'C' || i as customer_id,
            if(i % 3 = 0, null, 'H' || (i // 2)) as household_id, 'c' || (i % 4) as campaign,
            '1' as campaign_version, 'first' as step,
            if(nth = 0, 'first', 'earlier ' || nth) as occurrence, 'email' as channel,
            'marketing' as purpose, if(i % 4 % 3 = 0, 'offer', '') as tags,
            'c' || (i % 4) || '/first' as template, '' as variant, 'en' as language,
            'UTC' as timezone, cast(day as varchar) as business_date, day || 'T00:00:00+00:00' as decided_at,
            day || 'T09:00:00+00:00' as send_at, day || 'T19:00:00+00:00' as not_after,
            'accepted' as state, day || 'T09:00:00+00:00' as state_at
        from (select i, nth, date '2026-03-30' - cast(i % 21 + {365 // each} * nth as integer) as day
            from n, range({each}) as message(nth))
    """
    read = f"""
        select md5('e' || i || '/' || nth) as event_key, md5('m' || i || '/' || nth) as send_key,
            if(i % 12 = 0, 'click', 'open') as event, '2026-03-30T20:00:00+00:00' as occurred_at,
            '2026-03-30T20:00:00+00:00' as received_at
        from n, range({each}) as message(nth) where i % 3 = 0
    """
    with store.write() as connection:
        connection.insert_new("outbox", db.execute(sent).to_arrow_table())
        connection.insert_new("provider_event", db.execute(read).to_arrow_table())


def one_pass(folder: Path) -> dict[str, Any]:
    """The day's decisions, kept and in the outbox."""
    from tessera.decide import decide

    report = decide(workspace(folder / "home", DAY, project=folder / "project"))
    return {"candidates": report.candidates, "planned": report.planned}


def bare_join(folder: Path) -> dict[str, Any]:
    """Every candidate beside its person, consent and contacts, and nothing decided."""
    marts = folder / "home" / "marts" / "made"
    members = " union all ".join(
        f"select {k} as campaign, * from '{marts}/audience_a{k}/*.parquet'"
        for k in range(CAMPAIGNS - 1)
    )
    ws = workspace(folder / "home", DAY, project=folder / "project")
    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as db:
        db.register("sent", _sent(ws.store))
        row = db.execute(f"""
            with contact as (
                select customer_id, count(*) as messages, max(send_at) as last_at from sent group by all
            )
            select count(*), count(*) filter (consent.granted), max(household_id), max(last_at),
                sum(messages), max(expected_value)
            from ({members}) as member
            left join '{marts}/customers/*.parquet' as customer using (customer_id)
            left join '{marts}/consents/*.parquet' as consent using (customer_id)
            left join contact using (customer_id)
        """).fetchone()
    return {"candidates": row[0] if row else 0}


def _sent(store: Store) -> Any:
    import pyarrow as pa

    with store.read() as connection:
        schema = pa.schema([("customer_id", pa.string()), ("send_at", pa.string())])
        return connection.arrow("select customer_id, send_at from outbox", schema)


def one_by_one(folder: Path) -> dict[str, Any]:
    """The plain model over a sample of the customers."""
    from tests import decide_model

    del folder
    people = {f"C{i}": _person(i) for i in range(SAMPLE)}
    consents = [{"customer_id": name, "granted": i % 10 != 0, "recorded_at": datetime(2025, 1, 1)}  # noqa: DTZ001
                for i, name in enumerate(people)]  # fmt: skip
    audiences = {
        f"a{k}": [
            {"customer_id": name, "occurrence": "first", "entered_on": date(2026, 3, 20), "expected_value": i}
            for i, name in enumerate(people)
        ]
        for k in range(CAMPAIGNS)
    }  # fmt: skip
    world = decide_model.World(
        campaigns=[campaign(k) for k in range(CAMPAIGNS - 1)],
        policy=POLICY,
        customers=people,
        consents=consents,
        suppressions=[],
        audiences=audiences,
        as_of=datetime(2026, 3, 31, tzinfo=UTC),
        coming=[(campaign(CAMPAIGNS - 1), 1)],
    )
    return {"candidates": len(decide_model.decide(world))}


def _person(number: int) -> Mapping[str, Any]:
    zones = ("Europe/Athens", "America/New_York", "Asia/Tehran", "Pacific/Auckland")
    home = None if number % 3 == 0 else f"H{number // 2}"
    return {"email": "a@shop.example", "timezone": zones[number % 4], "household_id": home}


STEPS: dict[str, Step] = {
    "pass": one_pass,
    "bare join": bare_join,
    "one by one": one_by_one,
    **{f"prepare {size}": lambda folder, size=size: prepare(folder, size) for size in SIZES},  # type: ignore[misc]
    "prepare a year": lambda folder: prepare(folder, SIZES[1], YEAR),
}


def imports() -> None:
    """What the day has in memory before it decides; it is not timed."""
    import tessera.decide  # noqa: F401


def main() -> list[dict[str, object]]:
    found: dict[str, dict[str, Any]] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            measured("deciding", f"prepare {size}", Path(name))
            found[f"pass, {size:,} customers"] = measured("deciding", "pass", Path(name))
            if size == SIZES[-1]:
                found["bare join"] = measured("deciding", "bare join", Path(name))
                found["one by one"] = measured("deciding", "one by one", Path(name))
    with tempfile.TemporaryDirectory() as name:
        measured("deciding", "prepare a year", Path(name))
        found[f"pass, {SIZES[1]:,} customers, {YEAR} messages each"] = measured(
            "deciding", "pass", Path(name)
        )
    limit = found["bare join"]["seconds"]
    return [
        {
            "step": step,
            "candidates": f"{its['candidates']:,}",
            "planned": shown(its, "planned"),
            **spent(its),
            "candidates a second": f"{its['candidates'] / its['seconds']:,.0f}",
            "times the join": f"{its['seconds'] / limit:.1f}" if "1,000,000" in step else "",
            **peak(its),
        }
        for step, its in found.items()
    ]


if __name__ == "__main__":
    run(STEPS, main, imports)
