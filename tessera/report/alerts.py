"""What somebody should look at today, a sentence each: the page, the run and the staff's mail say the
same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tessera.report.figures import Figures

GUARD = {"stopped": "Marketing is stopped", "alert": "Marketing will be stopped if this goes on"}
BOUNCED_SHARE = 0.05  # from which on providers look into a sender
BOUNCED_OF = 100  # messages of a day, at least
TARGETS_MAX = 5  # told one by one; the rest stand in the plan


@dataclass(frozen=True)
class Alert:
    """`about` names what it is about, and is the same for as long as it lasts."""

    about: str
    says: str

    def __str__(self) -> str:
        return self.says


def alerts(found: Figures) -> list[Alert]:
    """Of the day of `found`, the gravest first."""
    return [
        *_models(found),
        *_held(found),
        *_complaints(found),
        *_bounced(found),
        *_refused(found),
        *_crowded(found),
        *_fallen(found),
        *_targets(found),
    ]


def _models(found: Figures) -> Iterator[Alert]:
    """Where the page's figures are of another day than its messages."""
    if found.red:
        says = f"The last build of the models ended red, and campaigns are held: {found.red}"
        yield Alert("red build", f"{says.rstrip('.')}.")
    if found.modelled_on and found.modelled_on != found.business_date:
        says = f"The models are of {found.modelled_on}, not of this day, and so is what they tell."
        yield Alert("models", says)


def _held(found: Figures) -> Iterator[Alert]:
    for row in found.held:
        says = f"Campaign {row['campaign']} is held, and {row['messages']:,} messages wait"
        yield Alert(f"held {row['campaign']} {row['why']}", f"{says}: {row['why']}.")


def _complaints(found: Figures) -> Iterator[Alert]:
    if found.guard.state in GUARD:
        says = f"{GUARD[found.guard.state]}: {found.guard}."
        yield Alert(f"guard {found.guard.state}", says)


def _bounced(found: Figures) -> Iterator[Alert]:
    """Of the day before: a list that is old, or a mailbox provider that had a bad hour."""
    sent, bounced = (sum(row[name] for row in found.yesterday) for name in ("sent", "bounced"))
    if sent < BOUNCED_OF or bounced < BOUNCED_SHARE * sent:
        return
    today = found.business_date
    day = today - timedelta(days=1)
    says = (
        f"{bounced:,} of the {sent:,} messages of {day} bounced: 'tessera bounces list --from {day} --until "
        f"{today + timedelta(days=1)}' shows at which domains. Where it was a provider's outage, 'tessera bounces clear'."
    )
    yield Alert(f"bounced {day}", says)


def _refused(found: Figures) -> Iterator[Alert]:
    for file in found.refused:
        name = f"{file['file']} ({file['feed']}, {file['rows']:,} rows)"
        yield Alert(f"file {file['file_id']}", f"{name} was refused: {file['reason']}")


def _crowded(found: Figures) -> Iterator[Alert]:
    """What tills write where there is no card, or a card that stands for strangers."""
    for row in found.sales.crowded if found.sales else ():
        number = row["customer_id"]
        says = (
            f"Customer {number} has {row['receipts']:,} receipts of the last seven days, more than anybody "
            "buys: have the mapping make null of a number that means no card, and look who uses a card "
            "that is one."
        )
        yield Alert(f"crowded {number}", says)


def _fallen(found: Figures) -> Iterator[Alert]:
    """Of this month and the last; earlier ones are history."""
    last_month = (found.business_date.replace(day=1) - timedelta(days=1)).replace(day=1)
    for row in found.morning.scores:
        if row["has_fallen"] and row["month"] >= last_month:
            yield Alert(f"score {row['month']}", _fall(**row))


def _fall(month: date, score: float, low: float, high: float, **its: Any) -> str:
    return (
        f"Fewer would recommend the shop in {month:%B %Y}, beyond chance: {score:+.0f} of 100 "
        f"({low:+.0f} to {high:+.0f}, {its['answers']:,} answers), {-its['change']:.0f} below the "
        f"month before."
    )


def _targets(found: Figures) -> Iterator[Alert]:
    """Those under way that drift out of reach; the shop's own first."""
    drifting = [row for row in found.morning.targets if row["status"] == "out of reach"]
    for row in drifting[:TARGETS_MAX]:
        about = " ".join(str(row[name]) for name in ("metric", "scope", "scope_id", "period_end"))
        yield Alert(f"target {about}", f"Out of reach: {_drift(row)}.")
    if more := len(drifting[TARGETS_MAX:]):
        yield Alert("targets", f"Out of reach: {more} more targets; see the report.")


def _drift(row: Mapping[str, Any]) -> str:
    what = row["metric"].replace("_", " ")
    of = "" if row["scope"] == "shop" else f" of {row['scope']} {row['scope_id']}"
    return (
        f"{what}{of} until {row['period_end']}: {row['actual']:,.0f} of {row['target']:,.0f} so far, "
        f"{row['projected']:,.0f} if it goes on like this"
    )
