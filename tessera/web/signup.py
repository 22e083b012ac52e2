"""Signing up: a form, a mail to whoever owns the address, and only their POST makes it a consent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from tessera.addresses import address_hash, mailbox
from tessera.clock import stamp
from tessera.consent import Word, record
from tessera.consent.suppression import ALL, EMAIL, lift, scopes
from tessera.say.links import secret_of
from tessera.store import Connection
from tessera.tokens import CONFIRM, REFERRAL, expired, sign, verify
from tessera.web import letters, people
from tessera.web.site import SQL, Refusal, Row, Site, Visit

NAME_MAX = 60
MAILS_A_DAY = 3  # to one address, whoever asks
ASKS_AN_HOUR = 10  # from one place


def join(visit: Visit) -> Response:
    """GET shows the form; POST sends the mail, and says so whatever we know of the address."""
    wording, version = visit.site.wordings.by_channel[EMAIL].spoken(visit.language.tag)
    given = visit.form if visit.is_post else visit.request.query_params
    shown: dict[str, Any] = {
        "wording": wording,
        "via": given.get("via", ""),
        "problem": None,
        "given": visit.form,
    }
    if not visit.is_post:
        return visit.show("join", **shown)
    visit.check_form()
    if not visit.site.limits.allow("join", visit.reader, most=ASKS_AN_HOUR, seconds=3600):
        raise Refusal("too_often", 429)
    problem = _problem(visit.form)
    if problem:
        return visit.show("join", 400, **{**shown, "problem": problem})
    if not visit.form.get("website"):  # people do not see this field; machines fill it in
        _ask(visit, version)
    return visit.go("/join/sent")


def sent(visit: Visit) -> Response:
    """Where a sign-up leads."""
    return visit.show("sent")


def confirm(visit: Visit) -> Response:
    """GET shows a button, or that it is done; POST makes the consent."""
    row = _signup(visit)
    if visit.is_post:
        visit.check_form()
        _confirm(visit, row)
        return visit.go()
    spoken = replace(visit, wish=row["language"])
    return spoken.show("confirm", done=row["confirmed_at"] is not None)


def decline(visit: Visit) -> Response:
    """Somebody else gave this address: what we wrote down is forgotten."""
    signup_id = verify(visit.site.secrets, CONFIRM, visit.token)
    if signup_id is None:
        raise Refusal("unknown", 404)
    if not visit.is_post:
        return visit.show("decline", done=False)
    if visit.form.get("List-Unsubscribe") != "One-Click":
        visit.check_form()
    with visit.site.store.write() as connection:
        connection.run(SQL["forget_signup"], signup_id=signup_id)
    return visit.show("decline", done=True)


def referral(visit: Visit) -> Response:
    """A friend of a customer comes by; the way to the form remembers whose."""
    invited_by = _first_name(visit.site, visit.message["customer_id"])
    return visit.show("referral", join=visit.here("/join", via=visit.token), invited_by=invited_by)


def _first_name(site: Site, customer_id: str | None) -> str | None:
    """Who invites: whom the tills greet by this name."""
    with site.store.read() as connection:
        return connection.scalar(SQL["given_name"], customer_id=customer_id)  # type: ignore[no-any-return]


def _problem(form: Mapping[str, str]) -> str | None:
    if mailbox(form.get("email", "")) is None:
        return "email"
    return None if "agreed" in form else "agreed"


def _ask(visit: Visit, version: str) -> None:
    """Remember who asked, then write to them: nothing else happens until they answer."""
    site, email = visit.site, mailbox(visit.form["email"]) or ""
    hashed, now = address_hash(email), site.now()
    row = {
        "signup_id": secrets.token_hex(16),
        "email": email,
        "address_hash": hashed,
        "given_name": " ".join(visit.form.get("given_name", "").split())[:NAME_MAX] or None,
        "language": visit.language.tag,
        "wording_version": version,
        "referred_by": _referrer(site, visit.form.get("via", ""), hashed),
        "asked_at": stamp(now),
    }
    with site.store.write() as connection:
        since = stamp(now - timedelta(days=1))
        asked = connection.scalar(SQL["asked"], address_hash=hashed, since=since)
        if asked >= MAILS_A_DAY or ALL in scopes(connection, hashed):
            return
        invited = {"address_hash": hashed, "referred_by": row["referred_by"]}
        if row["referred_by"] and connection.scalar(SQL["invited"], **invited):
            return  # nobody is invited by the same friend twice
        connection.run(SQL["add_signup"], **row)
    token = sign(secret_of(site.ws), CONFIRM, row["signup_id"] or "")
    letters.confirmation(site.ws, row, token, now, _first_name(site, row["referred_by"]))


def _referrer(site: Site, token: str, hashed: str) -> str | None:
    """The customer whose link was followed; nobody is their own friend."""
    try:
        customer_id = str(site.message(REFERRAL, token)["customer_id"])
    except Refusal:
        return None
    email = people.address_of(site.ws, customer_id)
    return None if email and address_hash(email) == hashed else customer_id


def _signup(visit: Visit) -> Row:
    signup_id = verify(visit.site.secrets, CONFIRM, visit.token)
    with visit.site.store.read() as connection:
        row = connection.one(SQL["signup"], signup_id=signup_id) if signup_id else None
    if row is None:
        raise Refusal("unknown", 404)
    asked = datetime.fromisoformat(row["asked_at"])
    if row["confirmed_at"] is None and expired(CONFIRM, asked, visit.site.now()):
        raise Refusal("expired", 410)
    return row


def _confirm(visit: Visit, row: Row) -> None:
    """The address is theirs: the consent with its proof, once, however often they press."""
    site, now = visit.site, visit.site.now()
    known = people.customers_with(site.ws, row["email"])
    with site.store.write() as connection:
        persons = known or [_person(connection, row)]
        if not connection.run(
            SQL["confirm"], at=stamp(now), customer_id=persons[0], signup_id=row["signup_id"]
        ):
            return
        for customer_id in persons:
            word = Word(
                customer_id, EMAIL, True, "sign-up form", row["wording_version"], _proof(row, now)
            )
            record(connection, word, now)
        lift(connection, row["address_hash"], now)


def _person(connection: Connection, row: Row) -> str:
    """Who signed up with this address before, or a new prospect, by the models' name for one."""
    found = connection.scalar(SQL["confirmed"], address_hash=row["address_hash"])
    return str(found or f"prospect:web-{row['signup_id']}")


def _proof(row: Row, now: datetime) -> dict[str, Any]:
    """Double opt-in: asked on the form, answered from the mail, which only the owner could read."""
    return {
        "signup": row["signup_id"],
        "asked_at": row["asked_at"],
        "confirmed_at": stamp(now),
        "address_hash": row["address_hash"],
    }
