"""Unsubscribing: a look changes nothing, one POST is enough (RFC 8058)."""

from __future__ import annotations

from starlette.responses import Response

from tessera.addresses import address_hash
from tessera.clock import stamp
from tessera.consent.ledger import Words, later, latest, withdraw, words
from tessera.consent.suppression import EMAIL, MARKETING, UNSUBSCRIBE, Suppression, suppress
from tessera.tokens import PREFERENCES
from tessera.web import people
from tessera.web.site import Visit

ONE_CLICK = ("List-Unsubscribe", "One-Click")


def unsubscribe(visit: Visit) -> Response:
    """GET asks, or says that it is done; POST does it, from the page or from a mail client."""
    one_click = visit.form.get(ONE_CLICK[0]) == ONE_CLICK[1]
    if visit.is_post:
        if not one_click:
            visit.check_form()
        stop(visit, "one-click unsubscribe" if one_click else "unsubscribe page")
        if not one_click:
            return visit.go()
    preferences = visit.here(visit.site.path(PREFERENCES, visit.message["send_key"]))
    return visit.show("unsubscribe", done=_is_done(visit), preferences=preferences)


def stop(visit: Visit, origin: str, *channels: str) -> None:
    """No more marketing by `channels`, or by that of the message: this person's consent is withdrawn,
    and the address is suppressed, for somebody else in the books may have the same one."""
    site, customer_id, now = visit.site, visit.message["customer_id"], visit.site.now()
    stopped = channels or (visit.message["channel"],)
    today, address = people.reader(site.ws, customer_id)
    email = address if EMAIL in stopped else None
    said = _said(visit, today)
    with site.store.write() as connection:
        for channel in stopped:
            withdraw(connection, customer_id, channel, origin, now, said=said)
        if email:
            one = Suppression(address_hash(email), MARKETING, UNSUBSCRIBE, stamp(now))
            suppress(connection, [one])


def _is_done(visit: Visit) -> bool:
    """Whether the latest word is a no."""
    customer_id = visit.message["customer_id"]
    with visit.site.store.read() as connection:
        ours = words(connection, customer_id)
    today, _ = people.reader(visit.site.ws, customer_id)
    return not latest(ours, _said(visit, today)).get(visit.message["channel"], True)


def _said(visit: Visit, today: str) -> Words:
    """What the person said under the number they have `today`, here or in the shop's books."""
    with visit.site.store.read() as connection:
        ours = words(connection, today)
    return later(ours, people.words(visit.site.ws, today) or {})
