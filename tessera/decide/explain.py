"""One person's decisions in words, with what became of the messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tessera.decide import decisions
from tessera.decide.decisions import Question
from tessera.decide.reasons import Reason, sentence
from tessera.quoting import literal
from tessera.warehouse import marts
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from tessera.decide.fates import Fate

NUMBERS = """
with today as (
    select coalesce(min(into_customer_id), {who}) as number from known_as where customer_id = {who}
)
select number from today
union all
select distinct known_as.customer_id
from known_as inner join today on known_as.into_customer_id = today.number
"""


def explained(ws: Workspace, customer_id: str, asked: Question) -> list[dict[str, Any]]:
    """The decisions asked for of one customer, under whichever of their numbers, each with `since` (what
    happened to its message, or to the one because of which there is none) and `said`."""
    numbers = _numbers(ws, customer_id)
    rows = [
        row
        for number in numbers
        for row in decisions.find(ws.home, replace(asked, customer_id=number))
    ]
    keys = [_send_keys(row, numbers) for row in rows]
    fates = _fates(ws, numbers) if any(keys) else {}
    found = [
        _explained(row, numbers[0], [fate for key in its for fate in fates.get(key, [])])
        for row, its in zip(rows, keys, strict=True)
    ]
    return sorted(found, key=lambda row: (row["business_date"], row["campaign"]))


def _send_keys(row: Mapping[str, Any], numbers: Sequence[str]) -> list[str]:
    """Of the message that was planned, or, where none was because of an earlier one, of that, made as `send_key`
    in arbitration.sql is: it went to whichever number its reader had then."""
    if row["reason"] != Reason.RE_ENTRY:
        return [row["send_key"]] if row["send_key"] else []
    of = (row["campaign"], row["step"], row["occurrence"])
    return [sha256("\x1f".join((number, *of)).encode()).hexdigest()[:32] for number in numbers]


def _numbers(ws: Workspace, customer_id: str) -> list[str]:
    """The customer's number of today, then the others of who was merged or was a prospect before."""
    if not marts.is_published(ws.home):
        return [customer_id]
    with closing(ws.marts()) as duck:
        found = duck.execute(NUMBERS.format(who=literal(customer_id))).fetchall()
    return [number for (number,) in found]


def _fates(ws: Workspace, numbers: Sequence[str]) -> dict[str, list[Fate]]:
    from tessera.decide import fates  # the store's libraries take as long as all the rest

    with ws.store.read() as store:
        return {
            key: told
            for number in numbers
            for key, told in fates.of_customer(store, number).items()
        }


def _explained(row: dict[str, Any], today: str, since: list[Fate]) -> dict[str, Any]:
    from tessera.decide import fates

    former = "" if row["customer_id"] == today else row["customer_id"]
    words = [sentence(row, former).removesuffix("."), *map(fates.said, since)]
    return {**row, "since": since, "said": f"{'; '.join(words)}."}
