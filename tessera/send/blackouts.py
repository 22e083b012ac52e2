"""Whether a campaign rests on the day a message would leave. Deciding saw to that, of the day it planned for;
but a cap, a pause, an approval or the pace may have kept the message until a blackout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import TypeAdapter

from tessera.blackouts import Blackout, Dates, is_blacked_out
from tessera.send.policy import SendingPolicy
from tessera.send.versions import versions
from tessera.store import Store

MARKETING = "marketing"
DAYS = TypeAdapter(tuple[Blackout, ...])
Row = Mapping[str, Any]


def resting(store: Store, policy: SendingPolicy, rows: Sequence[Row], day: date) -> dict[int, str]:
    """The blackout of `day`, by message id, for each of `rows` that it keeps back: the policy's of marketing,
    or its campaign's as it was when the message was decided."""
    with store.read() as connection:
        bodies = versions(connection, rows) if rows else {}
    own = {
        key: DAYS.validate_python(body.get("blackout_dates", ())) for key, body in bodies.items()
    }

    def days(row: Row) -> tuple[Dates, ...]:
        everybody = policy.blackout_dates if row["purpose"] == MARKETING else ()
        return (*everybody, *own.get((row["campaign"], row["campaign_version"]), ()))

    said = f"outside_window: blackout {day}"
    return {row["message_id"]: said for row in rows if is_blacked_out(day, days(row))}
