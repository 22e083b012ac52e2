"""One decision pass: every candidate of every campaign judged at once, under one lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from tessera import clock
from tessera.addresses import address_hash, mailbox
from tessera.decide import campaigns as files
from tessera.decide import policy, schedule, tables
from tessera.decide.campaigns import Campaign
from tessera.decide.filters import condition
from tessera.decide.policy import ContactPolicy
from tessera.decide.reasons import Reason
from tessera.errors import BadInput
from tessera.store import Connection, queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "pass.sql")
LOCK = queries("tessera.decide", "outbox.sql")["lock"]


@dataclass(frozen=True)
class CampaignPlan:
    """What a pass decided for one campaign; `reasons` sum to `candidates`."""

    campaign: str
    candidates: int
    planned: int
    reasons: dict[str, int]
    first_send_at: str | None
    last_send_at: str | None


@dataclass(frozen=True)
class DecideReport:
    """One pass: every candidate has exactly one reason, `planned` among them."""

    business_date: str
    candidates: int
    planned: int
    new: int  # outbox rows that were not there before
    reasons: dict[str, int]
    campaigns: list[CampaignPlan]
    not_scheduled: list[str] = field(default_factory=list)
    seconds: float = 0.0


def decide(
    ws: Workspace, campaigns: Sequence[str] | None = None, dry_run: bool = False
) -> DecideReport:
    """Judge the candidates of all campaigns that are scheduled on the business date, or of the
    `campaigns` named, scheduled or not; write decisions and outbox rows unless `dry_run`.

    Two passes at once come one after the other; the same day again adds nothing.
    """
    started = perf_counter()
    rules = policy.load(ws.project)
    every = files.load(ws.project)
    chosen = files.choose(every, campaigns) if campaigns else _scheduled(ws, every)
    settings = ws.settings
    source = marts.connect(ws.home, memory=settings.duckdb_memory, threads=settings.threads)
    with closing(source) as duck:
        _gather(duck, ws, chosen, rules)
        transaction = ws.store.read() if dry_run else ws.store.write()
        new = _judge(duck, transaction, ws, chosen, rules, dry_run=dry_run)
        plans = list(_plans(duck, chosen))
    names = {campaign.campaign for campaign in chosen}
    return DecideReport(
        business_date=ws.business_date.isoformat(),
        candidates=sum(plan.candidates for plan in plans),
        planned=sum(plan.planned for plan in plans),
        new=new,
        reasons=_add_up(plan.reasons for plan in plans),
        campaigns=plans,
        not_scheduled=[one.campaign for one in every if one.campaign not in names],
        seconds=round(perf_counter() - started, 3),
    )


def _scheduled(ws: Workspace, every: Sequence[Campaign]) -> tuple[Campaign, ...]:
    return tuple(one for one in every if schedule.is_due(one.schedule, ws.business_date))


def _gather(
    duck: DuckDBPyConnection, ws: Workspace, chosen: Sequence[Campaign], rules: ContactPolicy
) -> None:
    """What needs no lock: the files, the members of the audiences, their slots."""
    for name, value in _variables(ws, rules).items():
        duck.execute(f"set variable {name} = ?", [value])
    duck.create_function(
        "hash_of_address", _hash_all, ["VARCHAR"], "VARCHAR", type=ARROW, null_handling=SPECIAL
    )
    duck.execute(SQL["bucket"])
    duck.execute(SQL["member"])
    for campaign in chosen:
        _add_members(duck, campaign)
    duck.execute(SQL["person"])
    zones = duck.execute("select distinct timezone from person union select null").fetchall()
    given = tables.of_campaigns(
        chosen,
        rules,
        [zone for (zone,) in zones],
        shop=clock.zone(ws.settings.timezone),
        day=ws.business_date,
        as_of=_second(ws.as_of),
    )
    for name, table in given.items():
        duck.register(name, table)


def _variables(ws: Workspace, rules: ContactPolicy) -> dict[str, object]:
    as_of = _second(ws.as_of).replace(tzinfo=None)
    return {
        "as_of": as_of,
        "stamp": tables.stamp(ws.as_of),
        "today": ws.business_date,
        "since": as_of - timedelta(days=rules.longest_days + 1),
        "language": ws.settings.language,
        "global_control": round(rules.global_control_group_share * 10_000),
        "stale": _stale(ws, rules),
    }


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _stale(ws: Workspace, rules: ContactPolicy) -> str | None:
    """Why the marts cannot be trusted for the business date; None when they can."""
    built = clock.business_date(marts.current(ws.home).as_of, ws.settings.timezone)
    age = (ws.business_date - built).days
    return None if 0 <= age <= rules.stale_after_days else f"marts of {built}"


def _hash_all(addresses: pa.ChunkedArray) -> pa.Array:
    """The hash of each address that mail can be sent to; null of every other."""
    return pa.array(
        [address_hash(text) if text and mailbox(text) else None for text in addresses.to_pylist()],
        pa.string(),
    )


def _add_members(duck: DuckDBPyConnection, campaign: Campaign) -> None:
    audience = f"audience_{campaign.audience}"
    known = {row[0] for row in duck.execute("select view_name from duckdb_views()").fetchall()}
    if audience not in known:
        raise BadInput(
            f"Campaign '{campaign.campaign}' is for {audience}, which is not among the published "
            "marts; correct the campaign, or build the models again."
        )
    columns = {row[0]: row[1] for row in duck.execute("describe customers").fetchall()}
    mistakes = files.wrong_fields(campaign, columns)
    if mistakes:
        raise BadInput(f"Campaign '{campaign.campaign}': {' '.join(mistakes)}")
    narrowed, values = condition(campaign.where)
    people = "left join customers using (customer_id)" if campaign.where else ""
    duck.execute(
        f"insert into member select ?, customer_id, occurrence, min(entered_on), "
        f"max(expected_value) from {audience} {people} where {narrowed} "
        "group by customer_id, occurrence",
        [campaign.campaign, *values],
    )


def _judge(
    duck: DuckDBPyConnection,
    transaction: AbstractContextManager[Connection],
    ws: Workspace,
    chosen: Sequence[Campaign],
    rules: ContactPolicy,
    *,
    dry_run: bool,
) -> int:
    """Read what is live and decide while nobody else can; how many outbox rows are new."""
    with transaction as store:
        if store.dialect == "postgresql" and not dry_run:
            store.scalar(LOCK)
        since = ws.as_of - timedelta(days=rules.longest_days + 1)
        live = tables.of_store(store, chosen, day=ws.business_date, since=since)
        for name, table in live.items():
            duck.register(name, table)
        for step in ("word", "past", "judged", "still_planned"):
            duck.execute(SQL[step])
        _arbitrate(duck)
        if dry_run:
            return 0
        _keep(duck, ws, chosen)
        return store.insert_new("outbox", duck.execute(SQL["outbox"]).to_arrow_table())


def _arbitrate(duck: DuckDBPyConnection) -> None:
    """Give the slots under the caps to the best: everybody's first choice, then the second, …"""
    for step in ("contender", "message", "lost"):
        duck.execute(SQL[step])
    most = duck.execute("select coalesce(max(rank), 0) from contender").fetchall()[0][0]
    for rank in range(1, most + 1):
        duck.execute("set variable rank = ?", [rank])
        duck.execute(SQL["round"])
        duck.execute(SQL["granted"])
    duck.execute(SQL["outcome"])
    duck.execute(SQL["decision"])


def _keep(duck: DuckDBPyConnection, ws: Workspace, chosen: Sequence[Campaign]) -> None:
    """A Parquet file per campaign and day; the day's last pass over a campaign replaces it."""
    folder = ws.home.decisions / f"date={ws.business_date}"
    folder.mkdir(parents=True, exist_ok=True)
    for campaign in chosen:
        path = folder / f"{campaign.campaign}.parquet"
        beside = path.with_name(f".{path.name}")  # the lock is ours, so the name is free
        duck.execute("set variable campaign = ?", [campaign.campaign])
        target = str(beside).replace("'", "''")
        duck.execute(f"copy ({SQL['kept']}) to '{target}' (format parquet, compression zstd)")
        beside.replace(path)


def _plans(duck: DuckDBPyConnection, chosen: Sequence[Campaign]) -> Iterator[CampaignPlan]:
    rows = duck.execute(SQL["summary"]).fetchall()
    order = {reason.value: i for i, reason in enumerate(Reason)}
    for one in chosen:
        mine = sorted((r for r in rows if r[0] == one.campaign), key=lambda r: order[r[1]])
        counts = {reason: count for _, reason, count, _, _ in mine}
        first, last = next((r[3:] for r in mine if r[1] == Reason.PLANNED), (None, None))
        planned = counts.get(Reason.PLANNED.value, 0)
        yield CampaignPlan(
            one.campaign,
            sum(counts.values()),
            planned,
            counts,
            first_send_at=first,
            last_send_at=last,
        )


def _add_up(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    every = list(counts)
    return {
        reason.value: total
        for reason in Reason
        if (total := sum(count.get(reason.value, 0) for count in every))
    }
