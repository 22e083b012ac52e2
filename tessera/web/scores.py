"""Would you recommend us? The answer from the mail, and what could be better."""

from __future__ import annotations

import logging

from starlette.responses import Response

from tessera.clock import stamp
from tessera.tokens import REFERRAL
from tessera.web import alerts
from tessera.web.site import SQL, Refusal, Row, Visit

LOG = logging.getLogger("tessera.web")
BEST = 10
COMMENT_MAX = 2000


def score(visit: Visit) -> Response:
    """GET shows the question with the answer of the link chosen, or what was answered; POST writes
    the answer, or the words that follow it, down."""
    given = _number(visit.request.path_params.get("score", ""))
    if visit.is_post:
        visit.check_form()
        _save(visit)
        return visit.go(f"/s/{visit.token}")
    answer = _answer(visit)
    if given is None and answer is not None:
        friends = visit.here(visit.site.path(REFERRAL, visit.message["send_key"]))
        return visit.show("thanks", answer=answer, best=BEST, friends=friends)
    return visit.show("score", chosen=given, action=visit.here(f"/s/{visit.token}"))


def _answer(visit: Visit) -> Row | None:
    with visit.site.store.read() as connection:
        return connection.one(SQL["answer"], send_key=visit.message["send_key"])


def _save(visit: Visit) -> None:
    """The latest answer counts; the words that follow it keep its score."""
    before = _answer(visit)
    comment = visit.form.get("comment", "").strip()[:COMMENT_MAX] or None
    number = _number(visit.form.get("score", ""))
    if number is None and comment and before:
        number = before["score"]
    if number is None:
        raise Refusal("no_score", 400)
    if before and (before["score"], before["comment"]) == (number, comment or before["comment"]):
        return
    row = {
        "send_key": visit.message["send_key"],
        "customer_id": visit.message["customer_id"],
        "score": number,
        "comment": comment,
        "at": stamp(visit.site.now()),
    }
    with visit.site.store.write() as connection:
        connection.run(SQL["add_answer"], **row)
    if number < alerts.BELOW and (before is None or before["score"] >= alerts.BELOW):
        LOG.warning("A customer answered %s of 10: tessera answers --below 7", number)
        alerts.tell(visit.site.ws, visit.site.now())


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and int(text) <= BEST else None
