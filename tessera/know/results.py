"""What each campaign was worth, against the people its lot left alone, from receipts.

Whoever nothing but the lot could have kept from a message counts from the first such day, in the arm
of the lot, written to or not. So the arms differ by the campaign alone, and nobody is taken out by
what the campaign did to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa

from tessera import clock
from tessera.know import entries, lift, observed
from tessera.know.fitting import Floats
from tessera.store import Connection, queries
from tessera.store.aside import REPEATED
from tessera.warehouse import marts
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace

SQL = entries.SQL
STORE = queries("tessera.know", "results_store.sql")

MEASURES = ("converted", "revenue", "margin", "net")
BEFORE = 56  # days of spending before the entry that narrow the intervals
WITHIN = 14  # days counted where a campaign names no goal
LATELY = timedelta(days=92)  # what was bought since is in the shop's currency
FOR_EVER = 36_500  # days: all there are
PROGRAMME = "*"
ALL_CONTROL = "Everybody who could be written to is in the control group, and nobody is compared."

Masks = dict[str, np.ndarray]
VOUCHER = pa.schema(
    [
        ("customer_id", pa.string()),
        ("receipt_id", pa.string()),
        ("at", pa.string()),
        ("code", pa.string()),
        ("discount", pa.int64()),
        ("basket", pa.string()),
    ]
)
SENT = pa.schema([("campaign", REPEATED), ("purpose", REPEATED), ("customer_id", pa.string())])


@dataclass(frozen=True)
class Measure:
    """Means per person of both arms, and what lies between them; money in minor units."""

    measure: str
    treated: float
    control: float
    difference: float
    interval: lift.Interval  # 95 %, of one look
    always: lift.Interval  # 95 %, however often one looks
    p: float
    variance_reduction: float  # by the spending before
    in_total: float  # over the treated people
    total_interval: lift.Interval
    per_recipient: float | None  # the total, shared by those who were written to


@dataclass(frozen=True)
class Span:
    """The people whose days are over, and what they came to."""

    days: int | None  # from each person's entry; None: up to now
    people: int
    control: int
    recipients: int  # of the people, to whom a message was planned
    measures: list[Measure]


@dataclass(frozen=True)
class Variants:
    """Contents of a step against each other, by the net of the goal's days."""

    step: str
    arms: dict[str, float]  # the mean net per person
    people: dict[str, int]
    winner: str | None
    why: str


@dataclass(frozen=True)
class Result:
    """One campaign; without a control group it has `observed` and no number that speaks of cause."""

    campaign: str  # '*': the whole programme
    basis: str  # control group, too few, none, nobody
    says: str
    recipients: int  # people who were sent something, so far
    first: Span | None = None  # the goal's days after the entry
    to_date: Span | None = None
    variants: list[Variants] = field(default_factory=list)
    observed: observed.Observed | None = None


@dataclass(frozen=True)
class Results:
    """All campaigns with decisions before the business date; `past` are other systems'."""

    as_of: str
    business_date: str
    snapshot: str  # of the marts they were made of
    currency: str | None
    has_margin: bool
    campaigns: list[Result]
    programme: Result | None
    past: list[observed.Observed]


def results(ws: Workspace, point_worth: Fraction | None, paid_in: str = "any") -> Results:
    """Judge every campaign as of `ws.as_of` and write `results/results.json`.

    `point_worth` is what a point pays at the till, in minor units of the currency `paid_in`: in a shop of
    another one it pays nothing. BadInput when nothing is published.
    """
    with ws.marts() as duck:
        found = _judge(ws, duck, point_worth, paid_in)
    ws.home.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(found), ensure_ascii=False, indent=1)
    replace_text(ws.home.results / "results.json", text)
    return found


def are_current(ws: Workspace) -> bool:
    """Whether the results as last written are of this day and of the marts in force."""
    try:
        kept = json.loads((ws.home.results / "results.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    now = (ws.business_date.isoformat(), marts.current(ws.home).name)
    return (kept.get("business_date"), kept.get("snapshot")) == now


def _judge(
    ws: Workspace, duck: duckdb.DuckDBPyConnection, point_worth: Fraction | None, paid_in: str
) -> Results:
    currency = currency_of(ws, duck)
    past = observed.kept(ws.home)
    made_of = (ws.as_of.isoformat(), ws.business_date.isoformat(), marts.current(ws.home).name)
    if currency is None or not entries.load(duck, ws.home, ws.business_date):
        return Results(*made_of, currency, False, [], None, past)
    _follow(duck)
    duck.execute(SQL["entrant"])
    spending(ws, duck, "entrant", currency, since=first_compared(duck))
    worth = point_worth if paid_in in ("any", currency) else None
    with ws.store.read() as store:  # one for both: of a large store a process reads
        _rewards(ws, duck, store, currency, worth)
        facts = _facts(ws, duck, store)
    (known,) = duck.execute("select count(margin) from sold where revenue <> 0").fetchone() or [0]
    judge = _Judge(ws, duck, bool(known), facts)
    found = {name: judge.result(name) for (name,) in duck.execute(NAMES).fetchall()}
    programme = found.pop(PROGRAMME, None)
    return Results(*made_of, currency, bool(known), list(found.values()), programme, past)


def _follow(duck: duckdb.DuckDBPyConnection) -> None:
    """Make who has another number by now one person in the table `entry`: the first of their entries
    counts. The marts say who that is, for the receipts are theirs."""
    one_each = SQL["merged"].format(parts=SQL["followed"].format(table="entry"))
    duck.execute(f"create or replace temp table entry as {one_each}")


def currency_of(ws: Workspace, duck: duckdb.DuckDBPyConnection) -> str | None:
    """The shop's, in which all money is; None before anything was sold. Where nothing was lately: of all
    there is, which takes long."""
    as_of = clock.naive(ws.as_of)
    for since in (as_of - LATELY, datetime.min):  # noqa: DTZ901 - as DuckDB has it
        if row := duck.execute(SQL["currency"], {"since": since, "as_of": as_of}).fetchone():
            return str(row[0])
    return None


NAMES = "select distinct campaign from entrant order by campaign"


def first_compared(duck: duckdb.DuckDBPyConnection) -> date:
    """The first day whose receipts any of the table `entrant` is compared by."""
    given = {"before": max(BEFORE, observed.DAYS)}
    (found,) = duck.execute(SQL["first_compared"], given).fetchone() or [None]
    return found or date.max


def spending(
    ws: Workspace,
    duck: duckdb.DuckDBPyConnection,
    people: str,
    currency: str,
    *,
    since: date = date.min,
) -> None:
    """Make the table `sold`: what the people of a table bought since a day, by day of the shop's calendar."""
    day = since if since == date.min else since - timedelta(days=1)  # it is another in UTC
    given = {
        "zone": ws.settings.timezone,
        "currency": currency,
        "since": datetime.combine(day, time.min),
        "as_of": clock.naive(ws.as_of),
    }
    duck.execute(SQL["sold"].format(people=people), given)


def _rewards(
    ws: Workspace,
    duck: duckdb.DuckDBPyConnection,
    store: Connection,
    currency: str,
    worth: Fraction | None,
) -> None:
    """Add what points and vouchers cost to `sold`."""
    if worth is not None and "customer_points" in marts.views(duck):
        asked = {"point_worth": float(worth), "today": ws.business_date}
        points = SQL["followed"].format(table="customer_points")
        duck.execute(SQL["rewarded"].format(people="entrant", points=points), asked)
    used = store.scan(STORE["used"], VOUCHER, until=clock.stamp(ws.as_of))
    duck.register("voucher_use", used)
    given = {"zone": ws.settings.timezone, "currency": currency}
    uses = SQL["followed"].format(table="voucher_use")
    duck.execute(SQL["vouchers"].format(people="entrant", uses=uses), given)


@dataclass(frozen=True)
class Facts:
    """What the store tells of campaigns."""

    days: Mapping[str, int]  # of the goal, as last decided by
    with_control: Set[str]  # campaigns that leave a share alone, whoever has fallen into it
    recipients: Mapping[str, int]  # people who were sent something


def _facts(ws: Workspace, duck: duckdb.DuckDBPyConnection, store: Connection) -> Facts:
    bodies = store.all(STORE["versions"])
    sent = store.scan(STORE["sent"], SENT, today=ws.business_date.isoformat())
    latest = {row["campaign"]: json.loads(row["body"]) for row in bodies}
    goals = {name: body["goal"] for name, body in latest.items() if body.get("goal")}
    days = {name: int(goal["within"].rstrip("d")) for name, goal in goals.items()}
    with_control = {name for name, body in latest.items() if body.get("control_group_share")}
    duck.register("sent", sent)
    followed = SQL["followed"].format(table="recipient")
    rows = duck.execute(SQL["recipients"].format(followed=followed)).fetchall()
    duck.unregister("sent")
    return Facts(days, with_control, dict(rows))


@dataclass(frozen=True)
class _Judge:
    ws: Workspace
    duck: duckdb.DuckDBPyConnection
    has_margin: bool
    facts: Facts

    @cached_property
    def _behind(self) -> int:
        """Days that the marts do not know to their end."""
        made_on = clock.business_date(marts.current(self.ws.home).as_of, self.ws.settings.timezone)
        return max(self.ws.business_date - made_on, timedelta(0)).days

    def result(self, campaign: str) -> Result:
        days = self.facts.days.get(campaign, WITHIN)
        recipients = self.facts.recipients.get(campaign, 0)
        arms = self._arms(campaign)
        if not arms:
            return Result(campaign, "nobody", "Nobody could be written to yet.", recipients)
        if "control" not in arms and campaign not in self.facts.with_control:
            return self._without(campaign, recipients, days)
        first = self._span(campaign, days)
        variants = list(self._variants(campaign, days))
        if not first.measures:
            says = _too_few(first) if "treated" in arms else ALL_CONTROL
            return Result(campaign, "too few", says, recipients, first, variants=variants)
        to_date = self._span(campaign, None)
        return Result(campaign, "control group", _says(first), recipients, first, to_date, variants)

    def _without(self, campaign: str, recipients: int, days: int) -> Result:
        """Contents are compared all the same: between them there was a lot."""
        found = observed.own(self.duck, campaign, self.ws.business_date)
        variants = list(self._variants(campaign, days))
        says = "There is no control group, so what it caused cannot be known."
        return Result(campaign, "none", says, recipients, variants=variants, observed=found)

    def _arms(self, campaign: str) -> set[str]:
        query = (
            "select distinct arm from entrant where campaign = ? and arm in ('treated', 'control')"
        )
        return {arm for (arm,) in self.duck.execute(query, [campaign]).fetchall()}

    def _span(self, campaign: str, days: int | None) -> Span:
        rows = self._ask("people", campaign, days)
        masks = _masks(rows)
        people, control = (int(np.sum(masks.get(arm, False))) for arm in ("treated", "control"))
        recipients = int(rows["is_recipient"].to_numpy(zero_copy_only=False).sum())
        if min(people, control) < lift.FEWEST:
            return Span(days, people, control, recipients, [])
        measures = [_measure(name, _arms(rows, masks, name), recipients) for name in self._names()]
        return Span(days, people, control, recipients, measures)

    def _names(self) -> Iterator[str]:
        return (name for name in MEASURES if name != "margin" or self.has_margin)

    def _variants(self, campaign: str, days: int) -> Iterator[Variants]:
        rows = self._ask("variants", campaign, days)
        steps = np.asarray(rows["step"].to_pylist(), dtype=str)
        for step in np.unique(steps):
            its = rows.filter(pa.array(steps == step))
            arms = _arms(its, _masks(its), "net")
            big = {name: arm for name, arm in arms.items() if len(arm[0]) >= lift.FEWEST}
            if len(big.keys() - {"control"}) < 2:  # noqa: PLR2004 -- nothing to choose between
                continue
            winner, why = lift.winner(big, "control" if "control" in big else None)
            means = {name: float(y.mean()) for name, (y, _) in sorted(big.items())}
            people = {name: len(y) for name, (y, _) in sorted(big.items())}
            yield Variants(str(step), means, people, winner, why)

    def _ask(self, query: str, campaign: str, days: int | None) -> pa.Table:
        """Only people whose days are over, as far as the marts know receipts: a look at half of
        them would favour the quick."""
        last = self.ws.business_date - timedelta(days=self._behind + (days or 1))
        given = {"campaign": campaign, "last": last, "before": BEFORE, "days": days or FOR_EVER}
        outcomes = SQL["outcomes"]
        return self.duck.execute(SQL[query].format(outcomes=outcomes), given).to_arrow_table()


def _measure(name: str, arms: dict[str, tuple[Floats, Floats]], recipients: int) -> Measure:
    found = lift.compare("treated", "control", arms)
    low, high = found.interval
    return Measure(
        name,
        float(arms["treated"][0].mean()),
        float(arms["control"][0].mean()),
        found.difference,
        found.interval,
        found.always,
        found.p,
        found.variance_reduction,
        found.in_total,
        (low * found.people, high * found.people),
        found.in_total / recipients if recipients else None,
    )


def _masks(rows: pa.Table) -> Masks:
    """Which rows are of each arm."""
    arm = np.asarray(rows["arm"].to_pylist(), dtype=str)
    return {str(name): arm == name for name in np.unique(arm)}


def _arms(rows: pa.Table, masks: Masks, measure: str) -> dict[str, tuple[Floats, Floats]]:
    y, before = rows[measure].to_numpy(), rows["before"].to_numpy()
    return {name: (y[mask], before[mask]) for name, mask in masks.items()}


def _too_few(span: Span) -> str:
    return (
        f"Too few yet: the days of {span.people:,} people and {span.control:,} of the control group are "
        f"over; {lift.FEWEST} of each are needed."
    )


def _says(span: Span) -> str:
    net = span.measures[-1]
    low, high = net.always
    if low > 0:
        return "It brought more than it cost, however often one looks."
    if high < 0:
        return "It cost more than it brought, however often one looks."
    if not net.interval[0] <= 0 <= net.interval[1]:
        way = "brought more than it cost" if net.difference > 0 else "cost more than it brought"
        return f"It probably {way}; who looks every day should wait for the wider interval."
    return "It cannot be told from nothing yet."
