"""The till API: cards, points and vouchers for the shop's tills, each with a key of its store.

What is asked comes in bodies, so that no address holds more than an opaque id; no log line holds
any of it.
"""

from __future__ import annotations

import json
import logging
import re
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from anyio import to_thread
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tessera import clock
from tessera.errors import BadInput
from tessera.land.erased import is_erased
from tessera.reward import cards, keys, offline, once, referrals
from tessera.reward.preview import Preview
from tessera.reward.programme import Programme, load
from tessera.reward.refusal import SENTENCES, Refusal
from tessera.reward.till import Spend, Till
from tessera.say.links import secret_of
from tessera.store import Connection, lost, why
from tessera.vouchers import codes
from tessera.vouchers.spending import Basket, Judged
from tessera.vouchers.terms import Line
from tessera.web import till_messages as said
from tessera.web.contract import IDEMPOTENCY, Operation, document
from tessera.web.protection import TooLarge, read_body
from tessera.web.site import Site
from tessera.workspace import Workspace

LOG = logging.getLogger("tessera.web")
BODY_BYTES_MAX = 256 * 1024
ASKS_A_SECOND = 100  # with one key
MISSES_A_MINUTE = 30  # cards, codes and redemptions that are nothing, with one key
MISSES = ("unknown-card", "unknown-voucher", "unknown-redemption")
KEY_SECONDS = 5  # how long a key that was revoked may still open something
AHEAD = timedelta(hours=1)  # how far a till's clock may be before ours
IDEMPOTENT = re.compile(IDEMPOTENCY["schema"]["pattern"])
OPAQUE = re.compile("[0-9a-f]{32}")
Answer = Mapping[str, Any]


class No(Exception):
    """A request that is not looked into: `status`, a name, and a sentence."""

    def __init__(
        self, status: int, kind: str, title: str, *, wait: int | None = None, mistakes: Any = None
    ) -> None:
        super().__init__(kind)
        self.status, self.kind, self.title = status, kind, title
        self.wait, self.mistakes = wait, mistakes


@dataclass(frozen=True)
class Counter:
    """What the tills of one shop are served from."""

    site: Site

    @cached_property
    def programme(self) -> Programme:
        return load(self.site.ws.project)

    @cached_property
    def preview(self) -> Preview:
        ws = self.site.ws
        return Preview(self.programme, ws.home, self.programme.zone(ws.settings.timezone))

    @cached_property
    def secret(self) -> bytes:
        return secret_of(self.site.ws)

    @cached_property
    def at_once(self) -> ThreadPoolExecutor:
        """As many as the store has connections for; on SQLite those that come at once commit at once.
        anyio's own threads cost a request twice as much."""
        return ThreadPoolExecutor(10, "till")

    @cached_property
    def known(self) -> dict[str, tuple[str, float]]:
        """Keys that were shown lately: their store, and until when nobody asks again."""
        return {}

    def till(self, connection: Connection, store_id: str) -> Till:
        ws, at = self.site.ws, self.site.now().replace(microsecond=0)
        zone = ws.settings.timezone
        on = clock.business_date(at, zone)
        return Till(connection, self.programme, self.secret, store_id, at, on, zone, self.preview)


@dataclass(frozen=True)
class Ask:
    """One request of one store's till."""

    counter: Counter
    store_id: str
    body: Any
    key: str
    redemption: str

    def look(self, act: Callable[[Till], Answer]) -> Answer:
        """Answer from what there is."""
        with self.counter.site.store.read() as connection:
            return act(self.counter.till(connection, self.store_id))

    def do(self, what: str, act: Callable[[Till], Answer]) -> Answer:
        """Change something, once."""
        body = self.body.model_dump(mode="json")
        about = f"{what} {self.redemption}"
        request = once.Request(self.store_id, self.key, about, body, self.counter.site.now())
        return once.once(
            self.counter.site.store,
            request,
            lambda connection: act(self.counter.till(connection, self.store_id)),
        )


# ---------- the operations


def lookup(ask: Ask) -> Answer:
    """Whose card it is, as far as a till needs to know."""

    def act(till: Till) -> Answer:
        customer_id = cards.owner(till.store, ask.body.card)
        known = cards.member(till.store, customer_id)
        return {
            "card": ask.body.card,
            "given_name": known["given_name"],
            "level": till.level(customer_id, known["tier"]),
            "points": _points(till, customer_id),
            "referral_code": referrals.code_of(till.store, customer_id),
        }

    return ask.look(act)


def quote(ask: Ask) -> Answer:
    def act(till: Till) -> Answer:
        found = till.quote(_spend(ask.body))
        return {**vars(found), "vouchers": [_voucher(one) for one in found.vouchers]}

    return ask.look(act)


def validate(ask: Ask) -> Answer:
    def act(till: Till) -> Answer:
        wish = Spend(_basket(ask.body.basket), ask.body.card, vouchers=[ask.body.code])
        (judged,) = till.validate(wish)
        if judged.why == "unknown-voucher":
            raise Refusal(judged.why, about=judged.code)
        return _voucher(judged)

    return ask.look(act)


def reserve(ask: Ask) -> Answer:
    seconds = ask.body.hold_seconds
    return ask.do(
        "reserve", lambda till: _told(till, till.reserve(ask.key, _spend(ask.body), seconds))
    )


def take(ask: Ask) -> Answer:
    return ask.do("take", lambda till: _told(till, till.take(ask.key, _spend(ask.body))))


def show(ask: Ask) -> Answer:
    return ask.look(lambda till: _told(till, till.find(ask.redemption)))


def redeem(ask: Ask) -> Answer:
    receipt = ask.body.receipt
    return ask.do("redeem", lambda till: _told(till, till.redeem(ask.redemption, receipt)))


def void(ask: Ask) -> Answer:
    return ask.do("void", lambda till: _told(till, till.void(ask.redemption)))


def give_back(ask: Ask) -> Answer:
    def act(till: Till) -> Answer:
        row = till.give_back(ask.redemption, _basket(ask.body.kept))
        names = ("discount_kept", "paid_kept", "points_returned", "refund")
        return {**_told(till, row), **{name: row[name] for name in names}}

    return ask.do("return", act)


def enrol(ask: Ask) -> Answer:
    return ask.do("enrol", lambda till: _enrol(till, ask.body, till.at, again=False))


def replace(ask: Ask) -> Answer:
    def act(till: Till) -> Answer:
        cards.replace(till.store, ask.body.card, ask.body.new_card, till.at, till.at)
        return {"card": ask.body.new_card, "replaced": ask.body.card}

    return ask.do("replace", act)


def batch(ask: Ask) -> Answer:
    """Each operation has its own key and its own transaction."""
    site = ask.counter.site
    post = offline.Post(site.store, site.now(), ask.counter.till, partial(_unless_erased, site.ws))
    found = [one.model_dump(mode="json") for one in ask.body.operations]
    return {"results": post.take_in(ask.store_id, found)}


def _unless_erased(ws: Workspace, till: Till, one: Mapping[str, Any]) -> Answer:
    """What names a card of somebody who was erased does not wait for it: its number would stay."""
    try:
        return _offline(till, one)
    except Refusal as refusal:
        named = [one[name] for name in ("card", "new_card") if one.get(name)]
        with suppress(BadInput):  # another key than theirs: `tessera land` says so
            if refusal.kind == "unknown-card" and is_erased(ws, till.store, named):
                raise Refusal("card-blocked") from None
        raise


def _offline(till: Till, one: Mapping[str, Any]) -> Answer:
    """What a till did without a line."""
    at = datetime.fromisoformat(one["at"])
    if at > till.at + AHEAD:
        raise Refusal("too-far-ahead")
    if one["kind"] == "enrol":
        return _enrol(till, said.OfflineEnrol.model_validate(one), at, again=True)
    if one["kind"] == "replace":
        cards.replace(till.store, one["card"], one["new_card"], at, till.at, offline=True)
        return {}
    if one["kind"] == "void":
        return _told(till, till.void(till.name(one["of"])))
    wish = _spend(said.OfflineRedeem.model_validate(one), at)
    return _told(till, till.take(one["key"], wish))


def _enrol(till: Till, body: Any, at: datetime, *, again: bool) -> Answer:
    customer_id = cards.enrol(till.store, body.card, at, till.at, again=again)
    device = referrals.device_hash(till.secret, body.device)
    known = referrals.claim(till.store, customer_id, body.referral, at, device)
    return {"card": body.card, "referral": known}


def _points(till: Till, customer_id: str) -> Answer:
    return {**asdict(till.balance(customer_id)), "household": till.shared(customer_id)}


def _basket(body: said.Basket) -> Basket:
    lines = (
        Line(product=one.product, category=one.category, amount=one.amount, quantity=one.quantity)
        for one in body.lines
    )
    return Basket(body.currency, tuple(lines))


def _spend(body: Any, at: datetime | None = None) -> Spend:
    return Spend(_basket(body.basket), body.card, body.points, body.vouchers, body.receipt, at)


def _voucher(one: Judged) -> Answer:
    return {
        "code": codes.spoken(one.code),
        "reward": one.reward,
        "discount": one.discount,
        "valid_until": one.valid_until,
        "problem": one.why,
    }


def _told(till: Till, row: Mapping[str, Any]) -> Answer:
    lapsed = row["state"] == "held" and row["held_until"] <= till.stamp
    return {
        "redemption": row["redemption_id"],
        "state": "lapsed" if lapsed else row["state"],
        "held_until": row["held_until"],
        "points": row["points"],
        "points_back": row["points_back"],
        "paid_by_points": row["paid"],
        "discount": row["discount"],
        "receipt": row["receipt_id"],
    }


OPERATIONS = (
    Operation("/cards/lookup", "lookUpCard", "Whose card this is: first name, level, balance",
              lookup, said.Member, said.CardQuestion),
    Operation("/quotes", "quote", "What vouchers take off a basket, what points pay, what it earns",
              quote, said.Quote, said.SpendQuestion),
    Operation("/vouchers/validate", "validateVoucher", "Whether a code may be used for this basket",
              validate, said.Voucher, said.Validate),
    Operation("/reservations", "reserve", "Hold points and vouchers for a while",
              reserve, said.Redemption, said.Reserve, keyed=True),
    Operation("/redemptions", "take", "Spend points and vouchers at once",
              take, said.Redemption, said.SpendQuestion, keyed=True),
    Operation("/redemptions/{redemption}", "showRedemption", "What became of a redemption",
              show, said.Redemption, method="GET"),
    Operation("/redemptions/{redemption}/redeem", "redeem", "Settle a reservation",
              redeem, said.Redemption, said.Settle, keyed=True),
    Operation("/redemptions/{redemption}/void", "void", "Take a redemption back",
              void, said.Redemption, said.Void, keyed=True),
    Operation("/redemptions/{redemption}/return", "giveBack", "Part of what was bought comes back",
              give_back, said.Returned, said.GiveBack, keyed=True),
    Operation("/members", "enrol", "Hand out a card",
              enrol, said.Enrolled, said.Enrol, keyed=True),
    Operation("/cards/replace", "replaceCard", "Give a member a new card for an old one",
              replace, said.Replaced, said.Replace, keyed=True),
    Operation("/batches", "postBatch", "What was done without a line",
              batch, said.Results, said.Batch),
)  # fmt: skip


# ---------- serving them


def make_till(site: Site) -> Starlette:
    """The API as an application of its own, to be mounted at `PREFIX`."""
    counter = Counter(site)
    _ = counter.programme, counter.secret
    routes = [Route(one.path, _endpoint(counter, one), methods=[one.method]) for one in OPERATIONS]
    described = JSONResponse(document(OPERATIONS, site.ws.settings.public_url.rstrip("/")))

    async def openapi(_request: Request) -> Response:
        return described

    return Starlette(
        routes=[*routes, Route("/openapi.json", openapi, methods=["GET"])],
        exception_handlers={
            HTTPException: _http,
            OperationalError: _busy,
            DBAPIError: _lost,
            PoolTimeout: _busy,
            Exception: _broken,
        },
    )


def _endpoint(counter: Counter, one: Operation) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        limits = counter.site.limits
        try:
            ask, key_id = await _asked(counter, one, request)
            answer = await get_running_loop().run_in_executor(counter.at_once, one.handler, ask)
            for _ in range(_misses(answer)):
                limits.allow("till miss", key_id, most=MISSES_A_MINUTE, seconds=60)
            return JSONResponse(answer)
        except No as no:
            return _problem(no.status, no.kind, no.title, no.wait, mistakes=no.mistakes)
        except Refusal as refusal:
            if refusal.kind in MISSES:
                limits.allow("till miss", key_id, most=MISSES_A_MINUTE, seconds=60)
            return _problem(
                refusal.status, refusal.kind, refusal.sentence,
                about=codes.spoken(refusal.about) if refusal.about else None,
            )  # fmt: skip

    return endpoint


def _misses(answer: Answer) -> int:
    """Codes that are nothing, where many are asked for at once."""
    told = (*answer.get("vouchers", ()), *answer.get("results", ()))
    return sum(one["problem"] == "unknown-voucher" for one in told)


async def _asked(counter: Counter, one: Operation, request: Request) -> tuple[Ask, str]:
    """The request as the operation needs it, once it may be asked at all; and who asks."""
    store_id, key_id = await _store(counter, request)
    limits = counter.site.limits
    if not limits.allow("till", key_id, most=ASKS_A_SECOND, seconds=1):
        raise No(429, "too-often", "Too many requests.", wait=1)
    if limits.count("till miss", key_id, seconds=60) >= MISSES_A_MINUTE:
        raise No(429, "too-often", "Too many unknown cards and codes.", wait=60)
    key = request.headers.get("idempotency-key", "")
    if one.keyed and not IDEMPOTENT.fullmatch(key):
        raise No(400, "key-missing", "This request needs an Idempotency-Key of its own.")
    redemption = str(request.path_params.get("redemption", ""))
    if redemption and not OPAQUE.fullmatch(redemption):
        raise No(404, "unknown-redemption", SENTENCES["unknown-redemption"][1])
    body = await _body(one.body, request) if one.body else None
    return Ask(counter, store_id, body, key, redemption), key_id


async def _store(counter: Counter, request: Request) -> tuple[str, str]:
    """Whose key was shown, and its public half, to count by."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    now = counter.site.limits.clock()
    store_id, until = counter.known.get(shown, (None, 0.0))

    def find() -> str | None:
        with counter.site.store.read() as connection:
            return keys.store_of(connection, shown)

    if scheme.lower() != "bearer":
        store_id = None
    elif until <= now:
        counter.known.pop(shown, None)
        store_id = await to_thread.run_sync(find)
    if store_id is None:
        raise No(401, "wrong-key", "The till's key is wrong.")
    counter.known.setdefault(shown, (store_id, now + KEY_SECONDS))
    return store_id, shown.split("_")[1]


async def _body(model: type[BaseModel], request: Request) -> BaseModel:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise No(415, "not-json", "Send application/json.")
    try:
        raw = await read_body(request, BODY_BYTES_MAX)
        return model.model_validate(json.loads(raw))
    except TooLarge:
        raise No(413, "too-large", "This body is too large.") from None
    except ValidationError as error:
        # Where and what, never the value: it may be somebody's.
        mistakes = [
            {"at": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()
        ]
        title = "The body is not as described."
        raise No(422, "bad-body", title, mistakes=mistakes[:20]) from None
    except (ValueError, RecursionError):
        raise No(400, "not-json", "The body is not JSON.") from None


def _problem(
    status: int, kind: str, title: str, wait: int | None = None, **more: object
) -> Response:
    told = {"type": f"urn:tessera:till:{kind}", "title": title, "status": status}
    told |= {name: value for name, value in more.items() if value is not None}
    headers = {"Retry-After": str(wait)} if wait else {}
    if status == 401:  # noqa: PLR2004 -- HTTP's own
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(told, status, headers, media_type="application/problem+json")


async def _http(_request: Request, error: Exception) -> Response:
    """An address or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- what this is registered for
    told = _problem(error.status_code, "no-such-address", error.detail)
    told.headers.update(error.headers or {})
    return told


async def _busy(_request: Request, error: Exception) -> Response:
    """Nothing was done; the till asks again with the same key."""
    LOG.error("The store cannot be used: %s", why(error))
    return _problem(503, "busy", "The store is busy; ask again with the same key.", wait=1)


async def _lost(request: Request, error: Exception) -> Response:
    """As `_busy`, where the store is away; anything else is a bug."""
    if lost(error) is None:
        raise error
    return await _busy(request, error)


async def _broken(_request: Request, _error: Exception) -> Response:
    """A bug; its traceback is logged by the server."""
    return _problem(500, "broken", "Something went wrong on our side.")
