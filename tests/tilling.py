"""A shop with tills: a programme of its own, cards, points, keys; and clients that ask."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tessera.reward import cards, keys
from tessera.reward.points import Books, Posted
from tessera.reward.programme import FILE
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.vouchers import pool
from tessera.vouchers.terms import Terms
from tessera.workspace import Workspace

PROGRAMME = """
programme: club
currency: any
earn_rules: [{rule: purchase, points: 1, per: 100}]
returns: debt
worth: {points: 100, pays: 50}
rewards:
  - reward: five
    voucher: {amount: 500, currency: EUR}
referral: {points: 500, friend_points: 200, kept_days: 14, min_purchase: 1000, most: 2}
"""
KEYS = itertools.count()
AS_OF = "2026-03-31T12:00"


def project(folder: Path, text: str = PROGRAMME) -> Path:
    """The checkout with another programme."""
    for name in ("templates", "dbt", "expectations"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / "deployments").mkdir()
    for path in (CHECKOUT / "deployments").iterdir():
        if path.name != FILE.name:
            (folder / "deployments" / path.name).symlink_to(path)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def shop(folder: Path, store_url: str, members: int = 3, **settings: object) -> Workspace:
    """A home with so many members, `c0` with card `K0` and so on."""
    ws = workspace(
        folder / "home",
        AS_OF,
        project=project(folder / "project"),
        store_url=store_url,
        link_secret="the same in every home",
        **settings,
    )
    publish(ws, customers=[member(number) for number in range(members)])
    cards.refresh(ws)
    return ws


def member(number: int, **columns: Any) -> dict[str, Any]:
    return {
        "customer_id": f"c{number}",
        "card_id": f"K{number}",
        "given_name": f"Name{number}",
        "family_name": f"Secret{number}",
        "email": f"person{number}@mail.example",
        "tier": "gold",
        **columns,
    }


def later(ws: Workspace, moment: str) -> Workspace:
    """The same home at another instant, UTC."""
    found = replace(ws, as_of=datetime.fromisoformat(moment))
    object.__setattr__(found, "store", ws.store)
    return found


def amend(ws: Workspace, new: str, *, instead_of: str = "") -> None:
    """Write `new` into the programme's file, at its end or `instead_of` what is there."""
    text = (ws.project / FILE).read_text(encoding="utf-8")
    assert instead_of in text
    changed = text.replace(instead_of, new) if instead_of else text + new
    (ws.project / FILE).write_text(changed, encoding="utf-8")


def give(ws: Workspace, customer_id: str, points: int) -> None:
    with ws.store.write() as store:
        books = Books(store, "club", ws.as_of, ws.business_date)
        key = f"test:{next(KEYS)}"
        assert isinstance(books.grant(key=key, customer_id=customer_id, points=points), Posted)


def voucher(ws: Workspace, customer_id: str | None = None, **terms: Any) -> str:
    """A code under these terms, given to somebody or printed."""
    its = Terms(**{"amount": 500, "currency": "EUR", **terms})
    with ws.store.write() as store:
        (code,) = pool.make(store, "five", its, count=1, batch=f"b{next(KEYS)}", at=ws.as_of)
        if its.valid_days:
            until = its.last_day(ws.business_date)
            store.run("update voucher set valid_until = :d where code = :c", d=str(until), c=code)
        if customer_id:
            query = "update voucher set customer_id = :who where code = :code"
            store.run(query, who=customer_id, code=code)
    return code


def balance(ws: Workspace, customer_id: str) -> dict[str, int]:
    from tessera.reward.points import balance as points

    with ws.store.read() as store:
        return vars(points(store, "club", customer_id))


def basket(*amounts: int, **line: Any) -> dict[str, Any]:
    lines = [{"product": f"p{n}", "amount": amount, **line} for n, amount in enumerate(amounts)]
    return {"currency": "EUR", "lines": lines}


class Counter:
    """A till of one store, over HTTP."""

    def __init__(self, ws: Workspace, client: httpx.Client, store_id: str = "S1") -> None:
        with ws.store.write() as store:
            self.key = keys.make(store, store_id, ws.as_of)
        self.client, self.store_id = client, store_id

    def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        headers["Idempotency-Key"] = key or f"k{next(KEYS)}"
        return self.client.post(f"/till/v1{path}", json=body, headers=headers)

    def reserve(self, key: str | None = None, **body: Any) -> httpx.Response:
        return self.post("/reservations", {"basket": basket(10_000), **body}, key)

    def take(self, key: str | None = None, **body: Any) -> httpx.Response:
        return self.post("/redemptions", {"basket": basket(10_000), **body}, key)

    def settle(self, redemption: str, what: str = "redeem", **body: Any) -> httpx.Response:
        return self.post(f"/redemptions/{redemption}/{what}", body)

    def batch(self, *operations: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self.post("/batches", {"operations": list(operations)})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["results"]
        return found


def kind(answer: httpx.Response) -> str:
    """The name of the problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix("urn:tessera:till:")


def rows(ws: Workspace, query: str, **params: object) -> Sequence[Mapping[str, Any]]:
    with ws.store.read() as store:
        return store.all(query, **params)


Clock = Callable[[], datetime]
