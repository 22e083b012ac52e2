"""The preference centre: by which channel, on what, how often, in which language, and not for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from starlette.responses import Response

from tessera import clock
from tessera.addresses import address_hash
from tessera.consent import Word, record
from tessera.consent.ledger import latest, words
from tessera.consent.preferences import (
    DECLINED,
    FREQUENCIES,
    FREQUENCY,
    LANGUAGE,
    PAUSED_UNTIL,
    WANTED,
    choose,
    topic,
)
from tessera.consent.suppression import EMAIL, MARKETING, lift, scopes
from tessera.store import Connection
from tessera.web import people
from tessera.web.site import Visit
from tessera.web.unsubscribe import stop

ORIGIN = "preference centre"


@dataclass(frozen=True)
class Person:
    """What this customer said of each channel, in the shop's books and in ours; not to be shown where
    the shop's cannot be read."""

    customer_id: str
    email: str | None
    said: Mapping[str, bool]
    is_known: bool

    @classmethod
    def of(cls, visit: Visit) -> Person:
        customer_id, ws = visit.message["customer_id"], visit.site.ws
        today, email = people.reader(ws, customer_id)
        with visit.site.store.read() as connection:
            ours = [words(connection, number) for number in (customer_id, today)]
            suppressed = scopes(connection, address_hash(email)) if email else set()
        books = people.words(ws, today)
        said = latest(*ours, books or {})
        if MARKETING in suppressed:
            said[EMAIL] = False
        return cls(customer_id, email, said, books is not None)


def preferences(visit: Visit) -> Response:
    """GET shows the choices; POST writes down those that changed."""
    if not visit.is_post:
        return visit.show("preferences", **_shown(visit))
    visit.check_form()
    if visit.form.get("action") == "none":
        stop(visit, ORIGIN, *visit.site.wordings.by_channel)
        return visit.go(saved="yes")
    return _save(visit)


def _shown(visit: Visit) -> dict[str, Any]:
    site, person, chosen = visit.site, Person.of(visit), visit.preferences
    until, say = chosen.get(PAUSED_UNTIL, ""), visit.language.translations.gettext
    return {
        "saved": visit.request.query_params.get("saved"),
        "channels": [
            {
                "name": channel,
                "wording": wording.spoken(visit.language.tag)[0],
                "granted": person.said.get(channel, False),
            }
            for channel, wording in site.wordings.by_channel.items()
            if person.is_known
        ],
        "topics": [
            {
                "tag": one.tag,
                "title": say(one.title),
                "wanted": chosen.get(topic(one.tag)) != DECLINED,
            }
            for one in site.choices.topics
        ],
        "frequency": chosen.get(FREQUENCY, FREQUENCIES[0]),
        "spoken": visit.language.tag.partition("-")[0],
        "paused_until": date.fromisoformat(until) if until > _today(visit).isoformat() else None,
        "pause_days": site.choices.pause_days,
    }


def _save(visit: Visit) -> Response:
    person, now = Person.of(visit), visit.site.now()
    wanted = _wanted(visit)
    with visit.site.store.write() as connection:
        for channel in visit.site.wordings.by_channel:
            _say(visit, connection, person, channel)
        changed = choose(connection, person.customer_id, wanted, now)
    spoken = {"lang": changed[LANGUAGE]} if LANGUAGE in changed else {}
    return visit.go(saved="yes", **spoken)


def _say(visit: Visit, connection: Connection, person: Person, channel: str) -> None:
    """A yes or a no, if it is another than the page had shown, and than the last word. A form that does
    not tell what was shown is judged by what is known."""
    granted, now = f"channel_{channel}" in visit.form, visit.site.now()
    known = person.said.get(channel, False)
    shown = {"yes": True, "no": False}.get(visit.form.get(f"shown_{channel}", ""), known)
    if granted in (shown, person.said.get(channel)):
        return
    if not granted:
        record(connection, Word(person.customer_id, channel, False, ORIGIN), now)
        return
    _, version = visit.site.wordings.by_channel[channel].spoken(visit.language.tag)
    proof = {"link_of_message": visit.message["send_key"]}  # which only the addressee was sent
    record(connection, Word(person.customer_id, channel, True, ORIGIN, version, proof), now)
    if channel == EMAIL and person.email:
        lift(connection, address_hash(person.email), now)


def _wanted(visit: Visit) -> dict[str, str]:
    """The choices of the form that can be chosen; a first choice that changes nothing is none."""
    form, chosen, site = visit.form, visit.preferences, visit.site
    wanted = {
        topic(one.tag): WANTED if f"topic_{one.tag}" in form else DECLINED
        for one in site.choices.topics
    }
    unsaid = {topic(one.tag): WANTED for one in site.choices.topics} | {FREQUENCY: FREQUENCIES[0]}
    if form.get("frequency") in FREQUENCIES:
        wanted[FREQUENCY] = form["frequency"]
    if form.get("language") in site.pages.languages.codes:
        wanted[LANGUAGE] = form["language"]
        unsaid[LANGUAGE] = visit.language.tag.partition("-")[0]
    days = form.get("pause", "")
    if days == "0":
        wanted[PAUSED_UNTIL] = unsaid[PAUSED_UNTIL] = ""
    elif days in {str(number) for number in site.choices.pause_days}:
        wanted[PAUSED_UNTIL] = (_today(visit) + timedelta(days=int(days))).isoformat()
    return {n: v for n, v in wanted.items() if n in chosen or unsaid.get(n) != v}


def _today(visit: Visit) -> date:
    return clock.business_date(visit.site.now(), visit.site.ws.settings.timezone)
