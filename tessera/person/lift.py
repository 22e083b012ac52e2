"""A suppression lifted by hand, of who unsubscribed and has said yes since on a form that is not ours.

The shop's books tell the yes, by its own time; a person answers for it being one. What came after that yes still holds, however late it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from tessera import audit, clock
from tessera.addresses import address_hash
from tessera.consent import suppression
from tessera.consent.ledger import SQL as CONSENT
from tessera.consent.ledger import Words, later, on_marketing, words
from tessera.consent.suppression import EMAIL, ERASED, UNSUBSCRIBE, Suppression
from tessera.errors import BadInput
from tessera.land.erased import Keyring
from tessera.person import identity as who
from tessera.person.identity import SQL
from tessera.workspace import Workspace

BY_A_YES = (UNSUBSCRIBE, ERASED)


@dataclass(frozen=True)
class Lifted:
    """What no longer keeps mail from an address, and what still does."""

    causes: tuple[str, ...]
    left: tuple[str, ...]
    said_yes_at: str


def lift(ws: Workspace, customer_id: str, reason: str) -> Lifted:
    """Lift what the customer's later yes ends, for `reason`; BadInput when there is no such yes, or nothing
    that it would end."""
    why = " ".join(reason.split())
    if not why:
        raise BadInput("Say why, with --reason: it stands in the audit log.")
    numbers = who.numbers(ws, customer_id)
    addresses, books = _books(ws, sorted(numbers))
    if not addresses:
        raise BadInput(
            f"No customer '{customer_id}' with an e-mail address is known; check the id."
        )
    with ws.store.write() as connection:
        said = later(*books, *(words(connection, number) for number in numbers)).get(EMAIL)
        found = [one for its in addresses for one in suppression.standing(connection, its)]
        yes = _yes_after(ws, customer_id, found, said)
        ended = [one for one in found if _ends(one, yes)]
        for one in ended:
            suppression.lift(connection, one.address_hash, datetime.fromisoformat(yes), one.cause)
        causes, left = _causes(ended), _causes(one for one in found if one not in ended)
        subject, detail = Keyring.of(ws).person(customer_id), {"causes": causes, "reason": why}
        audit.record(ws, connection, "lift", subject, said_yes_at=yes, **detail)
    return Lifted(causes, left, yes)


def _books(ws: Workspace, numbers: Sequence[str]) -> tuple[list[str], list[Words]]:
    """The addresses, hashed, of these customers in the last build, and what each said in the shop's books."""
    with closing(ws.marts()) as marts:
        emails = marts.execute(SQL["emails"], [numbers]).fetchall()
        said = [
            on_marketing(marts.execute(CONSENT["mart_words"], {"customer_id": number}).fetchall())
            for number in numbers
        ]
    return sorted({address_hash(email) for (email,) in emails}), said


def _yes_after(
    ws: Workspace, customer_id: str, found: Sequence[Suppression], said: tuple[str, bool] | None
) -> str:
    """When the customer said the yes that ends some of what was `found`."""
    if not found:
        raise BadInput(
            f"Nothing to lift: the address of customer '{customer_id}' is not suppressed."
        )
    mine = [one for one in found if one.cause in BY_A_YES]
    if not mine:
        raise BadInput(
            f"The address of customer '{customer_id}' is suppressed for {', '.join(_causes(found))}, "
            "which no yes lifts."
        )
    at, granted = said or ("", False)
    if granted and at > clock.stamp(ws.as_of):
        raise BadInput(f"The yes of customer '{customer_id}' is dated {at}, which is yet to come.")
    if not granted or not any(_ends(one, at) for one in mine):
        since = min(one.since for one in mine)
        raise BadInput(
            f"Customer '{customer_id}' has not said yes to e-mail since {since}; land the new consent with its "
            "own time (feed 'consents') and run the day first."
        )
    return at


def _ends(one: Suppression, yes: str) -> bool:
    """Of two words of the same second the no holds."""
    return one.cause in BY_A_YES and one.since < yes


def _causes(found: Iterable[Suppression]) -> tuple[str, ...]:
    return tuple(sorted({one.cause for one in found}))
