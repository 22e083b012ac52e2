"""One decision pass: every candidate of every campaign judged at once, under one lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

from tessera import approval, clock
from tessera.consent import complaint_guard
from tessera.decide import campaigns as files
from tessera.decide import holds, judging, numbers, rewards, schedule, tables, versions, winners
from tessera.decide.campaign import Campaign
from tessera.decide.judging import Judged
from tessera.decide.members import Members
from tessera.decide.outcome import COLUMNS, Outcome, conclude
from tessera.decide.people import gather
from tessera.decide.policy import ContactPolicy
from tessera.decide.report import CampaignCounts, DecideReport, counted
from tessera.decide.rules import Rules
from tessera.decide.tables import Course
from tessera.quoting import constant
from tessera.store import Connection, checkpoints, queries
from tessera.vouchers import pool
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "pass.sql")
Passed = tuple[Outcome, list[CampaignCounts], int]  # and how many outbox rows are new


def decide(
    ws: Workspace, campaigns: Sequence[str] | None = None, dry_run: bool = False
) -> DecideReport:
    """Judge the candidates of all campaigns that are scheduled on the business date, or of the
    `campaigns` named, scheduled or not; write decisions and outbox rows unless `dry_run`.

    Two passes at once come one after the other; the same day again adds nothing.
    """
    started = perf_counter()
    rules = Rules.load(ws.project)
    chosen = _chosen(ws, rules, campaigns)
    with checkpoints.commits_that_copy_nothing(ws.store), closing(_connect(ws)) as duck:
        _, plans, new = _pass(duck, ws, rules, chosen, dry_run=dry_run)
        held = holds.of_pass(duck)
    names = {campaign.campaign for campaign in chosen}
    others = [one.campaign for one in rules.campaigns if one.campaign not in names]
    seconds = perf_counter() - started
    return DecideReport.of(ws.business_date, plans, others, held=held, new=new, seconds=seconds)


@contextmanager
def dry_pass(
    ws: Workspace, rules: Rules, campaigns: Sequence[str] | None = None
) -> Iterator[tuple[DuckDBPyConnection, tuple[Campaign, ...]]]:
    """A pass by `rules` that writes nothing: its view `decision`, to be asked, and the campaigns
    that were judged."""
    chosen = _chosen(ws, rules, campaigns)
    with closing(_connect(ws)) as duck:
        outcome, *_ = _pass(duck, ws, rules, chosen, dry_run=True)
        duck.register("decision", outcome.decisions(outcome.today()))
        yield duck, chosen


def _connect(ws: Workspace) -> DuckDBPyConnection:
    duck = ws.marts()
    # The queries name the smaller side second. DuckDB's guess takes the millions of candidates for
    # a few after some joins, and would build its tables of them.
    duck.execute(f"set disabled_optimizers = '{GUESSES}'")
    return duck


GUESSES = "build_side_probe_side"


def _chosen(ws: Workspace, rules: Rules, names: Sequence[str] | None) -> tuple[Campaign, ...]:
    if names is not None:
        return files.choose(rules.campaigns, names)
    day = ws.business_date
    return tuple(one for one in rules.campaigns if schedule.is_due(one.schedule, day))


def _pass(
    duck: DuckDBPyConnection,
    ws: Workspace,
    rules: Rules,
    chosen: Sequence[Campaign],
    *,
    dry_run: bool,
) -> Passed:
    """Everything between reading and writing."""
    current = [*map(Course, chosen), *_coming(ws, rules, chosen)]
    transaction = ws.store.read() if dry_run else ws.store.write()
    return _judge(duck, transaction, ws, current, rules.policy, dry_run=dry_run)


def _coming(ws: Workspace, rules: Rules, chosen: Sequence[Campaign]) -> Iterator[Course]:
    """The other campaigns that run within the days that reserve, and do not rest then."""
    for one in rules.campaigns:
        for days in range(1, rules.policy.reserve_days + 1) if one not in chosen else ():
            day = ws.business_date + timedelta(days=days)
            if schedule.is_due(one.schedule, day) and not tables.held_by(one, rules.policy, day):
                yield Course(one, due_in=days)
                break


def _judge(
    duck: DuckDBPyConnection,
    transaction: AbstractContextManager[Connection],
    ws: Workspace,
    current: Sequence[Course],
    rules: ContactPolicy,
    *,
    dry_run: bool,
) -> Passed:
    """Read what is live and decide while nobody else can."""
    # SQLite and DuckDB leave each other a core: the store is read and written beside the marts' work.
    with _plain_memory(), transaction as store, ThreadPoolExecutor(1) as beside:
        spoken = duck.cursor()
        gathered = beside.submit(gather, duck, ws, current, rules)
        if not dry_run:
            pool.lock(store)
        stopped = complaint_guard(store, ws.as_of).stopped
        courses = [*current, *versions.begun_under(store, current)]
        live = _live(store, ws, courses, rules)
        courses = holds.with_templates_seen(spoken, ws, courses)
        members = gathered.result()
        duck.execute(f"set variable stopped = {constant('complaint rate' if stopped else None)}")
        _register(duck, ws, live, courses, rules)
        others = _find_past(duck, members, beside)
        outcome = conclude(
            duck, _judged(duck, ws, others.result()),
            day=ws.business_date, as_of=tables.naive(ws.as_of), reserve_days=rules.reserve_days,
            threads=ws.settings.threads,
        )  # fmt: skip
        chosen = [course.campaign for course in current if not course.due_in]
        if dry_run:
            return outcome, counted(outcome, chosen), 0
        messages = outcome.messages(duck)
        kept = beside.submit(_keep, ws, chosen, outcome)
        plans = beside.submit(counted, outcome, chosen)
        beside.submit(_drop, duck, ALL_BUT_COURSES)
        new = _fill_outbox(store, ws, chosen, outcome, messages)
        approval.ask(store, ws.business_date, rules.approval_over)
        kept.result()
        return outcome, plans.result(), new


def _fill_outbox(
    store: Connection,
    ws: Workspace,
    chosen: Sequence[Campaign],
    outcome: Outcome,
    messages: pa.Table,
) -> int:
    """With the versions of their campaigns, and the codes that go with them; how many are new."""
    versions.keep(store, ws, chosen)
    new = store.insert_new("outbox", messages)
    rewards.reserve(store, ws, outcome.rewards(messages))
    return new


@contextmanager
def _plain_memory() -> Iterator[None]:
    """Arrow's own allocator gives the system back what it asks for again a moment later: a fifth of what the
    kernel does in a pass."""
    kept = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(kept)


def _find_past(duck: DuckDBPyConnection, members: Members, beside: Executor) -> Future[Members]:
    """What is known of people and journeys; the members of whom nothing more is."""
    for step in BEFORE:
        duck.execute(SQL[step])
    for table in ("history", "read_event"):  # have served
        duck.unregister(table)
    others = members.part(duck, beside)
    for step in OF_CONCERNED:
        duck.execute(SQL[step])
    return others


BEFORE = ("latecomer", "word", "reach", "declined", "past", "planned")
OF_CONCERNED = (
    *("going", "past_step", "read_step", "journey", "begun", "candidate", "unmet", "over"),
    *("met_before", "turn", "picked", "paced"),
)


def _live(
    store: Connection, ws: Workspace, courses: Sequence[Course], rules: ContactPolicy
) -> dict[str, pa.Table]:
    """The store's tables of the pass."""
    since = rules.since(ws.as_of)
    return {
        **tables.of_store(store, courses, rules, day=ws.business_date, since=since),
        "reward": rewards.left(store, ws, courses),
    }


def _register(
    duck: DuckDBPyConnection,
    ws: Workspace,
    live: dict[str, pa.Table],
    courses: Sequence[Course],
    rules: ContactPolicy,
) -> None:
    """Give the pass the tables of files and store; `live` is empty then."""
    shop, day = clock.zone(ws.settings.timezone), ws.business_date
    places = duck.execute(SQL["places"]).fetchall()
    given = {
        **numbers.follow(duck, live),
        **tables.of_policy(rules),
        **tables.of_courses(courses, rules, shop=shop, day=day),
        "slot": tables.of_slots(
            courses,
            rules,
            places,
            shop=shop,
            day=day,
            as_of=tables.second(ws.as_of),
        ),
    }
    live.clear()  # the years of messages are kept once
    for name, table in given.items():
        duck.register(name, table)
    for step in ("label", "each_kind", "reading", "attention"):
        duck.execute(SQL[step])
    if any(step.choose for course in courses for step in course.campaign.steps):
        for step in ("past", "read_step"):
            duck.execute(SQL[step])
        duck.register("award", winners.awards(courses))
        scores = duck.execute(SQL["variant_score"]).fetchall()
        duck.register("content", winners.promote(given["content"], courses, scores))


def _judged(duck: DuckDBPyConnection, ws: Workspace, others: Members) -> Judged:
    """Every candidate with the first rule that stands against it."""
    judged = judging.judge(duck, others, day=ws.business_date, threads=ws.settings.threads)
    _drop(duck, JUDGED_FROM)
    # What a join knows of its keys it would tell the scan of an Arrow table, which then fails.
    duck.execute(f"set disabled_optimizers = '{GUESSES},join_filter_pushdown'")
    return judged


def _drop(duck: DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Those that have served."""
    for table in tables:
        duck.execute(f"drop table if exists {table}")


ALL_BUT_COURSES = ("person", "word", "reach", "reading", "past")
JUDGED_FROM = (
    *("known", "candidate", "begun", "unmet", "over", "met_before", "picked", "paced", "read_step"),
    *("going", "past_step", "journey"),
)


def _keep(ws: Workspace, chosen: Sequence[Campaign], outcome: Outcome) -> None:
    """A Parquet file per campaign and day; the day's last pass over a campaign replaces it."""
    folder = ws.home.decisions / f"date={ws.business_date}"
    folder.mkdir(parents=True, exist_ok=True)
    for campaign in chosen:
        path = folder / f"{campaign.campaign}.parquet"
        beside = path.with_name(f".{path.name}")  # the lock is ours, so the name is free
        parquet.write_table(
            outcome.decisions(outcome.of_campaign(campaign.campaign)), beside,
            row_group_size=ROW_GROUP, compression="zstd", use_dictionary=REPEATED, store_schema=False,
            write_statistics=["customer_id"],  # the only column by which row groups are passed over
        )  # fmt: skip
        beside.replace(path)


ROW_GROUP = 122_880  # rows, of which few are read to explain one customer
REPEATED = [name for name in COLUMNS if name not in ("customer_id", "household_id", "send_key")]
