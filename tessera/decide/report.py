"""What a pass tells of itself: candidates by campaign and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from tessera.decide.campaign import Campaign
from tessera.decide.outcome import Outcome
from tessera.decide.reasons import Reason


@dataclass(frozen=True)
class CampaignCounts:
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
    campaigns: list[CampaignCounts]
    not_scheduled: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)  # why nothing of a campaign goes out
    seconds: float = 0.0

    def with_resting(self, resting: Mapping[str, str]) -> DecideReport:
        """With the campaigns of the day that were left out, and why."""
        others = [name for name in self.not_scheduled if name not in resting]
        return replace(self, held={**self.held, **resting}, not_scheduled=others)

    @classmethod
    def of(
        cls,
        day: date,
        plans: Sequence[CampaignCounts],
        others: Sequence[str],
        *,
        held: dict[str, str],
        new: int,
        seconds: float,
    ) -> DecideReport:
        """What came of the campaigns of `plans`; `others` are not scheduled, those `held`
        wait for a reason."""
        return cls(
            business_date=day.isoformat(),
            candidates=sum(plan.candidates for plan in plans),
            planned=sum(plan.planned for plan in plans),
            new=new,
            reasons=_add_up(plan.reasons for plan in plans),
            campaigns=list(plans),
            not_scheduled=list(others),
            held=held,
            seconds=round(seconds, 3),
        )


def counted(outcome: Outcome, chosen: Sequence[Campaign]) -> list[CampaignCounts]:
    """What came of each of the `chosen`."""
    return [_counts(outcome, one.campaign) for one in chosen]


def _counts(outcome: Outcome, campaign: str) -> CampaignCounts:
    reasons, first, last = outcome.counts(campaign)
    return CampaignCounts(
        campaign,
        sum(reasons.values()),
        reasons.get(Reason.PLANNED, 0),
        reasons,
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
