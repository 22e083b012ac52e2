"""Plan before apply: what a pass would do today, and how another policy or other campaigns would
change it. Nothing is written."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tessera.decide import campaigns as files
from tessera.decide import holds
from tessera.decide.campaign import Campaign
from tessera.decide.planner import dry_pass
from tessera.decide.policy import Costs
from tessera.decide.reasons import Reason
from tessera.decide.report import CampaignCounts
from tessera.decide.rules import Rules
from tessera.errors import BadInput
from tessera.home import Home
from tessera.quoting import literal
from tessera.store import queries
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "plan.sql")
Side = tuple[Rules, Sequence[str] | None]  # and the campaigns to judge; None: those of the day


@dataclass(frozen=True)
class CampaignPlan(CampaignCounts):
    """One campaign of a plan, with what it would give and cost."""

    rewards: dict[str, int]  # to be granted, by name
    cost: int | None  # minor units; None: the policy names no costs
    held: str | None  # why nothing of it goes out today, whoever the candidate


@dataclass(frozen=True)
class Plan:
    """What would go out on a day, and why not."""

    business_date: str
    candidates: int
    planned: int
    reasons: dict[str, int]
    rewards: dict[str, int]
    cost: int | None
    currency: str | None
    campaigns: list[CampaignPlan]
    not_scheduled: list[str]
    seconds: float

    def with_resting(self, resting: Mapping[str, str]) -> Plan:
        """With the campaigns of the day that were left out, and why: without a candidate."""
        added = [
            CampaignPlan(name, 0, 0, {}, None, None, {}, None, held=why)
            for name, why in resting.items()
        ]
        others = [name for name in self.not_scheduled if name not in resting]
        return replace(self, campaigns=[*self.campaigns, *added], not_scheduled=others)


@dataclass(frozen=True)
class Change:
    """A count under the one rules and under the other."""

    before: int
    after: int


@dataclass(frozen=True)
class CampaignDiff:
    """How one campaign's decisions differ; `changed`: candidates whose reason or time does."""

    campaign: str
    candidates: Change
    changed: int
    reasons: dict[str, Change]


@dataclass(frozen=True)
class PlanDiff:
    """What a change would make of a day. A verdict that is null: not a candidate."""

    business_date: str
    before: str
    after: str
    changed: int
    campaigns: list[CampaignDiff]
    customers: list[dict[str, Any]]
    seconds: float
    # campaigns of the day that are not compared, and why
    held: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Otherwise:
    """Rules that are not the project's own."""

    policy: Path | None = None
    campaigns: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.policy or self.campaigns)

    def __str__(self) -> str:
        named = {"policy": self.policy, "campaigns": self.campaigns}
        return ", ".join(f"{what} {path}" for what, path in named.items() if path) or "as it stands"

    def rules(self, project: Path) -> Rules:
        return Rules.load(project, self.policy, self.campaigns)


def plan(
    ws: Workspace, names: Sequence[str] | None = None, otherwise: Otherwise | None = None
) -> Plan:
    """The plan of all campaigns scheduled on the business date, or of those named."""
    started = perf_counter()
    rules = (otherwise or Otherwise()).rules(ws.project)
    with dry_pass(ws, rules, names) as (duck, chosen):
        rows, held = _rows(duck, "summary"), holds.of_pass(duck)
    costs = rules.policy.costs
    found = [_of_campaign(one, rows, costs, held.get(one.campaign)) for one in chosen]
    return Plan(
        business_date=ws.business_date.isoformat(),
        candidates=sum(one.candidates for one in found),
        planned=sum(one.planned for one in found),
        reasons=_in_order(_sum(one.reasons for one in found)),
        rewards=_sum(one.rewards for one in found),
        cost=sum(one.cost or 0 for one in found) if costs else None,
        currency=costs.currency if costs else None,
        campaigns=found,
        not_scheduled=[one.campaign for one in rules.campaigns if one not in chosen],
        seconds=round(perf_counter() - started, 3),
    )


def _of_campaign(
    campaign: Campaign, rows: Iterable[Mapping[str, Any]], costs: Costs | None, held: str | None
) -> CampaignPlan:
    mine = [row for row in rows if row["campaign"] == campaign.campaign]
    reasons = _sum({row["reason"]: row["decisions"]} for row in mine)
    planned = [row for row in mine if row["reason"] == Reason.PLANNED]
    grants = {step.name: step.grant.voucher for step in campaign.steps if step.grant}
    rewards = _sum(
        {grants[row["step"]]: row["decisions"]} for row in planned if row["step"] in grants
    )
    return CampaignPlan(
        campaign=campaign.campaign,
        candidates=sum(reasons.values()),
        planned=reasons.get(Reason.PLANNED, 0),
        reasons=_in_order(reasons),
        first_send_at=min((row["first_send_at"] for row in planned), default=None),
        last_send_at=max((row["last_send_at"] for row in planned), default=None),
        rewards=rewards,
        cost=_cost(costs, reasons.get(Reason.PLANNED, 0), rewards) if costs else None,
        held=held,
    )


def _cost(costs: Costs, messages: int, rewards: Mapping[str, int]) -> int:
    """Minor units, rounded up: what the policy says a message and each reward cost."""
    mail = -(-messages * costs.per_thousand_messages // 1000)
    return mail + sum(costs.rewards.get(name, 0) * count for name, count in rewards.items())


def diff(
    ws: Workspace,
    otherwise: Otherwise,
    names: Sequence[str] | None = None,
    *,
    limit: int | None = None,
) -> PlanDiff:
    """The plan under other rules beside that under the project's own; when there are no other
    rules, the plan as it is now beside the decisions kept of the day. At most `limit` customers."""
    started = perf_counter()
    own, other = _sides(ws, otherwise, names)
    with tempfile.TemporaryDirectory(prefix="tessera-plan-") as folder:
        earlier = Path(folder) / "earlier.parquet"
        if otherwise:
            _write_plan(ws, own, earlier)
        with dry_pass(ws, *other) as (duck, chosen):
            if not otherwise:
                _write_kept(duck, ws, _left_out(ws, chosen, names), earlier)
            duck.execute("set variable earlier = ?", [str(earlier)])
            duck.execute(SQL["pair"])
            counts, changes = _rows(duck, "counts"), _rows(duck, "changes")
            customers = _rows(duck, "changed", limit=limit)
    changed = {row["campaign"]: row["changed"] for row in changes}
    found = sorted({row["campaign"] for row in counts})
    return PlanDiff(
        business_date=ws.business_date.isoformat(),
        before="as it stands" if otherwise else "as it was decided",
        after=str(otherwise),
        changed=sum(changed.values()),
        campaigns=[_campaign_diff(name, counts, changed.get(name, 0)) for name in found],
        customers=customers,
        seconds=round(perf_counter() - started, 3),
    )


def _sides(ws: Workspace, otherwise: Otherwise, names: Sequence[str] | None) -> tuple[Side, Side]:
    """The project's own rules and the others; a campaign that is named may be of one side only."""
    both = Rules.load(ws.project), otherwise.rules(ws.project)
    if names is None:
        return (both[0], None), (both[1], None)
    files.choose([one for rules in both for one in rules.campaigns], names)
    return _narrowed(both[0], names), _narrowed(both[1], names)


def _narrowed(rules: Rules, names: Sequence[str]) -> Side:
    known = {one.campaign for one in rules.campaigns}
    return rules, [name for name in names if name in known]


def _write_plan(ws: Workspace, side: Side, target: Path) -> None:
    with dry_pass(ws, *side) as (duck, _):
        duck.execute(f"copy ({SQL['verdicts']}) to {literal(str(target))} (format parquet)")


def _write_kept(
    duck: DuckDBPyConnection, ws: Workspace, left_out: Sequence[str], target: Path
) -> None:
    kept = {"files": _kept_files(ws.home, str(ws.business_date)), "left_out": left_out}
    duck.execute(f"create temp table kept as {SQL['kept']}", kept)
    duck.execute(f"copy kept to {literal(str(target))} (format parquet)")


def _kept_files(home: Home, day: str) -> list[str]:
    found = sorted(str(path) for path in (home.decisions / f"date={day}").glob("[!.]*.parquet"))
    if not found:
        raise BadInput(
            f"Nothing was decided on {day} to compare with; name other rules with --policy or "
            "--campaigns, or run 'tessera decide' first."
        )
    return found


def _left_out(ws: Workspace, chosen: Iterable[Campaign], names: Sequence[str] | None) -> list[str]:
    """Campaigns that are not compared: those not named, and those not of the day. A campaign that
    has no file any more is compared: it is gone."""
    mine = {one.campaign for one in chosen}
    kept = {Path(f).stem for f in _kept_files(ws.home, ws.business_date.isoformat())}
    known = kept if names else {one.campaign for one in Rules.load(ws.project).campaigns}
    return sorted(known - mine)


def _campaign_diff(name: str, counts: Iterable[Mapping[str, Any]], changed: int) -> CampaignDiff:
    mine = {r["reason"]: Change(r["before"], r["after"]) for r in counts if r["campaign"] == name}
    return CampaignDiff(
        campaign=name,
        candidates=Change(
            sum(one.before for one in mine.values()), sum(one.after for one in mine.values())
        ),
        changed=changed,
        reasons=_in_order(mine),
    )


def _rows(duck: DuckDBPyConnection, query: str, **values: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        duck.execute(SQL[query], values or None).to_arrow_table().to_pylist()
    )
    return found


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _in_order(reasons: Mapping[str, Any]) -> dict[str, Any]:
    """By reason, in the order in which the rules are asked."""
    return {reason.value: reasons[reason.value] for reason in Reason if reason.value in reasons}
