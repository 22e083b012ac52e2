"""One decision pass: every candidate of every campaign judged at once, under one lock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from duckdb.func import ARROW, SPECIAL
from pyarrow import parquet
from pydantic import ValidationError

from tessera import approval, clock
from tessera.addresses import address_hash, mailbox
from tessera.consent import complaint_guard
from tessera.decide import campaigns as files
from tessera.decide import judging, policy, rewards, schedule, tables, winners
from tessera.decide.campaign import Campaign
from tessera.decide.judging import Judged
from tessera.decide.members import Members
from tessera.decide.outcome import COLUMNS, Outcome, conclude
from tessera.decide.policy import ContactPolicy
from tessera.decide.reasons import Reason
from tessera.decide.tables import Course
from tessera.quoting import constant, literal
from tessera.store import Connection, queries
from tessera.warehouse import marts, red
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "pass.sql")
STORE = queries("tessera.decide", "outbox.sql")
# columns that marts of earlier versions lack
LATER = {"satisfaction_score": "bigint", "satisfaction_at": "timestamp"}


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


@dataclass(frozen=True)
class Rules:
    """The campaigns and the policy a pass goes by."""

    policy: ContactPolicy
    campaigns: tuple[Campaign, ...]

    @classmethod
    def load(
        cls, project: Path, policy_file: Path | None = None, campaigns_dir: Path | None = None
    ) -> Rules:
        """Those of the project, or of another file and folder; BadInput for their mistakes."""
        return cls(policy.load(project, policy_file), files.load(project, campaigns_dir))


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
    with closing(_connect(ws)) as duck:
        outcome, new = _pass(duck, ws, rules, chosen, dry_run=dry_run)
    plans = list(_plans(outcome, chosen))
    names = {campaign.campaign for campaign in chosen}
    return DecideReport(
        business_date=ws.business_date.isoformat(),
        candidates=sum(plan.candidates for plan in plans),
        planned=sum(plan.planned for plan in plans),
        new=new,
        reasons=_add_up(plan.reasons for plan in plans),
        campaigns=plans,
        not_scheduled=[one.campaign for one in rules.campaigns if one.campaign not in names],
        seconds=round(perf_counter() - started, 3),
    )


@contextmanager
def dry_pass(
    ws: Workspace, rules: Rules, campaigns: Sequence[str] | None = None
) -> Iterator[tuple[DuckDBPyConnection, tuple[Campaign, ...]]]:
    """A pass by `rules` that writes nothing: its view `decision`, to be asked, and the campaigns
    that were judged."""
    chosen = _chosen(ws, rules, campaigns)
    with closing(_connect(ws)) as duck:
        outcome, _ = _pass(duck, ws, rules, chosen, dry_run=True)
        duck.register("decision", outcome.decisions(outcome.today()))
        yield duck, chosen


def _connect(ws: Workspace) -> DuckDBPyConnection:
    duck = marts.connect(ws.home, memory=ws.settings.duckdb_memory, threads=ws.settings.threads)
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
) -> tuple[Outcome, int]:
    """Everything between reading and writing, and how many outbox rows are new."""
    current = [*map(Course, chosen), *_coming(ws, rules, chosen)]
    transaction = ws.store.read() if dry_run else ws.store.write()
    return _judge(duck, transaction, ws, current, rules.policy, dry_run=dry_run)


def _coming(ws: Workspace, rules: Rules, chosen: Sequence[Campaign]) -> Iterator[Course]:
    """The other campaigns that run within the days that reserve."""
    for one in rules.campaigns:
        due = schedule.next_due(one.schedule, ws.business_date + timedelta(days=1))
        days = (due - ws.business_date).days if due else 0
        if one not in chosen and 0 < days <= rules.policy.reserve_days:
            yield Course(one, due_in=days)


def _gather(
    duck: DuckDBPyConnection, ws: Workspace, current: Sequence[Course], rules: ContactPolicy
) -> Members:
    """What the marts know: the people, and who of them is in which audience."""
    for name, value in _variables(ws, rules).items():
        duck.execute(f"set variable {name} = {constant(value)}")
    duck.create_function(
        "hash_of_address", _hash_all, ["VARCHAR"], "VARCHAR", type=ARROW, null_handling=SPECIAL
    )
    duck.execute(SQL["reason"].format(reasons=", ".join(map(literal, Reason))))
    for macro in MACROS:
        duck.execute(SQL[macro])
    duck.execute(_bits_of(rules))
    parts = _person(duck, current, rules)
    campaigns = [course.campaign for course in current]
    for strangers in (NOBODY, parts["audiences"]):
        duck.execute(SQL["person"].format(**{**parts, "strangers": strangers}))
        members = Members.find(duck, campaigns, ws.business_date)
        if not members.are_unknown:
            break
    return members.of_known()


NOBODY = "select null as customer_id where false"


MACROS = ("stirred", "mixed", "bucket_of", "unit_of", "hash_of", "hash_of_phone")


def _person(
    duck: DuckDBPyConnection, current: Sequence[Course], rules: ContactPolicy
) -> dict[str, str]:
    """The parts of the query `person` that depend on the marts and the rules."""
    named = sorted({f"audience_{c.campaign.audience}" for c in current if c.campaign.audience})
    known = {row[0] for row in duck.execute("select view_name from duckdb_views()").fetchall()}
    audiences = [f"select customer_id from {one}" for one in named if one in known]
    columns = {row[0] for row in duck.execute("describe customers").fetchall()}
    shared = any(cap.per == "household" for cap in rules.limits)
    texts = any(course.campaign.channel == "sms" for course in current)
    household = "min(cid) over (partition by coalesce('h' || household_id, 'c' || customer_id))"
    return {
        "audiences": " union all ".join(audiences or [NOBODY]),
        "household": household if shared else "cid",
        "phone_hash": "hash_of_phone(phone)" if texts else "null::varchar",
        **{name: name if name in columns else f"null::{kind}" for name, kind in LATER.items()},
    }


def _bits_of(rules: ContactPolicy) -> str:
    """The macro that turns a message's tags into the bits of `tables.tag_bits`."""
    bits = [
        f"if(list_contains(string_split(concat('@', channel, ',@', purpose, ',', tags), ','), '{tag}'), {bit}, 0)"
        for tag, bit in tables.tag_bits(rules).items()
    ]
    return (
        f"create or replace macro bits_of(tags, channel, purpose) as ({' + '.join(['0', *bits])})"
    )


def _variables(ws: Workspace, rules: ContactPolicy) -> dict[str, object]:
    as_of = _naive(ws.as_of)
    return {
        "as_of": as_of,
        "today": ws.business_date,
        "since": as_of - rules.longest - timedelta(days=1),
        "language": ws.settings.language,
        "global_salt": tables.salt_of("*"),
        "global_control": round(rules.global_control_group_share * 10_000),
        "stale": stale(ws, rules),
    }


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _naive(instant: datetime) -> datetime:
    """As DuckDB has it: UTC."""
    return _second(instant).replace(tzinfo=None)


def stale(ws: Workspace, rules: ContactPolicy) -> str | None:
    """Why the marts cannot be trusted for the business date; None when they can."""
    if what := red.found(ws.home):
        return f"red build: {what}"
    built = clock.business_date(marts.current(ws.home).as_of, ws.settings.timezone)
    age = (ws.business_date - built).days
    return None if 0 <= age <= rules.stale_after_days else f"marts of {built}"


def _hash_all(addresses: pa.ChunkedArray) -> pa.Array:
    """The hash of each address that mail can be sent to; null of every other."""
    return pa.array(
        [address_hash(text) if text and mailbox(text) else None for text in addresses.to_pylist()],
        pa.string(),
    )


def _judge(
    duck: DuckDBPyConnection,
    transaction: AbstractContextManager[Connection],
    ws: Workspace,
    current: Sequence[Course],
    rules: ContactPolicy,
    *,
    dry_run: bool,
) -> tuple[Outcome, int]:
    """Read what is live and decide while nobody else can; and how many outbox rows are new."""
    # SQLite and DuckDB leave each other a core: the store is read and written beside the marts' work.
    with transaction as store, ThreadPoolExecutor(1) as beside:
        gathered = beside.submit(_gather, duck, ws, current, rules)
        if store.dialect == "postgresql" and not dry_run:
            store.scalar(STORE["lock"])
        stopped = complaint_guard(store, ws.as_of).stopped
        courses = [*current, *_begun_under(store, current)]
        live = _live(store, ws, courses, rules)
        members = gathered.result()
        duck.execute(f"set variable stopped = {constant('complaint rate' if stopped else None)}")
        _register(duck, ws, live, courses, rules)
        others = _find_past(duck, members)
        outcome = conclude(
            duck, _judged(duck, ws, others),
            day=ws.business_date, as_of=_naive(ws.as_of), reserve_days=rules.reserve_days,
            threads=ws.settings.threads,
        )  # fmt: skip
        if dry_run:
            return outcome, 0
        messages = outcome.messages(duck)
        chosen = [course.campaign for course in current if not course.due_in]
        kept = beside.submit(_keep, ws, chosen, outcome)
        store.run_many(STORE["keep_version"], [_version(one, ws) for one in chosen])
        new = store.insert_new("outbox", messages)
        rewards.reserve(store, ws, outcome.rewards(messages))
        approval.ask(store, ws.business_date, rules.approval_over)
        kept.result()
        return outcome, new


def _find_past(duck: DuckDBPyConnection, members: Members) -> Members:
    """What is known of people and journeys; the members of whom nothing more is."""
    for step in BEFORE:
        duck.execute(SQL[step])
    others = members.part(duck)
    for step in OF_CONCERNED:
        duck.execute(SQL[step])
    return others


BEFORE = ("latecomer", "word", "reach", "declined", "past", "planned")
OF_CONCERNED = (
    *("past_step", "read_step", "journey", "begun", "candidate", "unmet", "over", "met_before"),
    *("turn", "picked", "paced"),
)


def _begun_under(store: Connection, current: Sequence[Course]) -> Iterator[Course]:
    """The earlier versions of the campaigns, under which journeys may still be on their way."""
    now = {(one.campaign.campaign, one.campaign.version) for one in current}
    names = {f"campaign{i}": one.campaign.campaign for i, one in enumerate(current)}
    marks = ", ".join(f":{name}" for name in names) or "''"
    for row in store.all(STORE["versions"].format(campaigns=marks), **names):
        if (row["campaign"], row["version"]) not in now:
            try:
                body = Campaign.model_validate(json.loads(row["body"]))
            except ValidationError:  # of a Tessera that knew keys this one does not
                continue
            yield Course(body, is_current=False)


def _version(campaign: Campaign, ws: Workspace) -> Mapping[str, Any]:
    return {
        "campaign": campaign.campaign,
        "version": campaign.version,
        "body": campaign.model_dump_json(exclude_defaults=True, by_alias=True),
        "at": tables.stamp(ws.as_of),
    }


def _live(
    store: Connection, ws: Workspace, courses: Sequence[Course], rules: ContactPolicy
) -> dict[str, pa.Table]:
    """The store's tables of the pass."""
    since = ws.as_of - rules.longest - timedelta(days=1)
    return {
        **tables.of_store(store, courses, rules, day=ws.business_date, since=since),
        "reward": rewards.left(store, ws),
    }


def _register(
    duck: DuckDBPyConnection,
    ws: Workspace,
    live: Mapping[str, pa.Table],
    courses: Sequence[Course],
    rules: ContactPolicy,
) -> None:
    """Give the pass the tables of files and store."""
    shop, day = clock.zone(ws.settings.timezone), ws.business_date
    zones = duck.execute("select distinct timezone from person union select null").fetchall()
    given = {
        **live,
        **tables.of_policy(rules),
        **tables.of_courses(courses, rules, shop=shop, day=day),
        "slot": tables.of_slots(
            courses,
            rules,
            [zone for (zone,) in zones],
            shop=shop,
            day=day,
            as_of=_second(ws.as_of),
        ),
    }
    for name, table in given.items():
        duck.register(name, table)
    for step in ("label", "each_kind", "reading", "attention"):
        duck.execute(SQL[step])
    if any(step.choose for course in courses for step in course.campaign.steps):
        for step in ("past", "read_step"):
            duck.execute(SQL[step])
        scores = duck.execute(SQL["variant_score"]).fetchall()
        duck.register("content", winners.promote(given["content"], courses, scores))


def _judged(duck: DuckDBPyConnection, ws: Workspace, others: Members) -> Judged:
    """Every candidate with the first rule that stands against it."""
    judged = judging.judge(duck, others, day=ws.business_date, threads=ws.settings.threads)
    for table in JUDGED_FROM:  # have served
        duck.execute(f"drop table if exists {table}")
    # What a join knows of its keys it would tell the scan of an Arrow table, which then fails.
    duck.execute(f"set disabled_optimizers = '{GUESSES},join_filter_pushdown'")
    return judged


JUDGED_FROM = (
    *("known", "candidate", "begun", "unmet", "over", "met_before", "picked", "paced", "read_step"),
    *("past_step", "journey"),
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


def _plans(outcome: Outcome, chosen: Sequence[Campaign]) -> Iterator[CampaignPlan]:
    for one in chosen:
        counts, first, last = outcome.counts(one.campaign)
        yield CampaignPlan(
            one.campaign,
            sum(counts.values()),
            counts.get(Reason.PLANNED, 0),
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
