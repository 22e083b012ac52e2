"""Codes with messages: reserved, given, released; pools by the million; real redemptions taken in."""

from __future__ import annotations

import email
import email.policy
import gzip
import re
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from tessera.cli.app import app
from tessera.decide import decide
from tessera.decide import rewards as decide_rewards
from tessera.errors import BadInput
from tessera.person import records
from tessera.person.identity import Identity
from tessera.reward import cards
from tessera.say.preview import preview
from tessera.send import holds, send
from tessera.settings import CHECKOUT, Settings
from tessera.testing import workspace
from tessera.vouchers import codes, history, pool
from tessera.vouchers.terms import Terms
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import HELLO, insert, on, people, person, write
from tests.serving import served
from tests.tilling import Counter, basket, kind, rows

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
GIFT = {**HELLO, "campaign": "gift", "on_cap": "drop"}
GIFT["steps"] = [{"name": "first", "template": "gift/code", "grant": {"voucher": "cake"}}]
PROGRAMME = """
programme: club
currency: any
earn_rules: [{rule: purchase, points: 1, per: 100}]
returns: debt
rewards:
  - {reward: cake, %s}
"""
CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}")


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    """A shop whose one campaign gives a code away."""
    project = tmp_path / "project"
    write(project, {"caps": None, "costs": None}, GIFT)
    rewards(project, "voucher: {amount: 500, currency: EUR, valid_days: 2}")
    (project / "templates").mkdir(exist_ok=True)
    for path in (CHECKOUT / "templates").iterdir():
        (project / "templates" / path.name).symlink_to(path)
    for name in ("consent_wordings.yml", "preferences.yml"):
        (project / "deployments" / name).symlink_to(CHECKOUT / "deployments" / name)
    folder = project / "templates/gift/code"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("subject.txt", "body.html", "body.txt"):
        (folder / part).write_text("{{ voucher.code }} until {{ voucher.valid_until | date }}")
    ws = workspace(tmp_path / "home", "2026-03-31", project=project, store_url=store_url)
    yield ws
    ws.store.close()


def rewards(project: Path, cake: str) -> None:
    (project / "deployments/programme.yml").write_text(PROGRAMME % cake)


def mailed(ws: Workspace) -> dict[str, str]:
    """The code in each person's mail."""
    found = {}
    for path in ws.home.mail.rglob("*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        code = CODE.search(str(mail["subject"]))
        assert code, mail["subject"]
        found[str(mail["to"]).partition("@")[0]] = codes.tidy(code[0])
    return found


def states(ws: Workspace) -> dict[str, int]:
    (row,) = pool.summary(ws.store, at=ws.as_of, day=ws.business_date)
    return {name: n for name, n in row.items() if n and name not in ("reward", "batch", "codes")}


def try_at_till(ws: Workspace, code: str, **body: Any) -> str:
    """What a till says of a code."""
    with served(ws) as client:
        answer = Counter(ws, client).take(vouchers=[code], basket=basket(1000), **body)
    return "ok" if answer.status_code == 200 else kind(answer)


# ---------- with a message


@BOTH_STORES
def test_a_code_is_reserved_with_its_message_given_when_it_leaves_and_used_once(
    shop: Workspace,
) -> None:
    people(shop, "anna", "ben")
    decide(shop)
    assert states(shop) == {"reserved": 2}
    (reserved, _) = [row["code"] for row in rows(shop, "select code from reward_grant")]
    assert try_at_till(shop, reserved) == "unknown-voucher"  # nobody can have it yet
    send(shop)
    assert states(shop) == {"given": 2}
    found = mailed(shop)
    assert set(found) == {"anna", "ben"}
    assert try_at_till(shop, codes.spoken(found["anna"]).lower()) == "ok"
    assert try_at_till(shop, found["anna"]) == "voucher-used"
    assert states(shop) == {"given": 1, "used": 1}


@SQLITE
def test_a_message_says_until_when_and_the_till_keeps_to_it(shop: Workspace) -> None:
    people(shop, "anna", "ben")
    decide(shop)
    send(shop)
    found = mailed(shop)
    (mail, *_) = shop.home.mail.rglob("*.eml")
    assert "April 1, 2026" in mail.read_text()
    assert states(on(shop, "2026-04-01T23:59:59")) == {"given": 2}
    assert states(on(shop, "2026-04-02")) == {"expired": 2}
    assert try_at_till(on(shop, "2026-04-01T23:59:59"), found["anna"]) == "ok"
    assert try_at_till(on(shop, "2026-04-02"), found["ben"]) == "voucher-expired"


@BOTH_STORES
@pytest.mark.parametrize(("days", "left"), [(1, {"anna": "cancelled"}), (2, {"anna": "accepted"})])
def test_no_message_is_put_off_beyond_the_last_day_of_its_code(
    shop: Workspace, days: int, left: dict[str, str]
) -> None:
    """It would have said until when a code had been good."""
    rewards(shop.project, f"voucher: {{amount: 500, currency: EUR, valid_days: {days}}}")
    write(shop.project, None, {**GIFT, "on_cap": "defer"})
    people(shop, "anna")
    decide(shop)
    write(shop.project, {"caps": [{"purpose": "marketing", "max": 1, "days": 1}]})
    (mine,) = rows(shop, "select * from outbox")
    others = {
        "send_key": "other",
        "campaign": "x",
        "step": "y",
        "state": "accepted",
        "request_id": None,
    }
    insert(
        shop,
        "outbox",
        **{**mine, **others, "message_id": 99, "send_at": "2026-03-31T08:00:00+00:00"},
    )
    send(shop)
    send(on(shop, "2026-04-01T09:00"))
    told = rows(shop, "select customer_id, state from outbox where campaign = 'gift'")
    assert {row["customer_id"]: row["state"] for row in told} == left


@BOTH_STORES
@pytest.mark.parametrize(("days", "why"), [(1, "too_late"), (2, "outside_window")])
def test_what_was_paused_past_its_hours_waits_no_longer_than_its_code(
    shop: Workspace, days: int, why: str
) -> None:
    rewards(shop.project, f"voucher: {{amount: 500, currency: EUR, valid_days: {days}}}")
    write(shop.project, None, {**GIFT, "on_cap": "defer"})
    people(shop, "anna")
    decide(shop)
    holds.pause(shop, "gift")
    send(on(shop, "2026-04-01T06:00"))
    assert [row["state_reason"] for row in rows(shop, "select state_reason from outbox")] == [why]


@BOTH_STORES
def test_a_later_step_reminds_of_the_code_that_is_about_to_end(shop: Workspace) -> None:
    """Of one that was used, withdrawn or is over it tells nothing; another chance is another journey."""
    rewards(shop.project, "voucher: {amount: 500, currency: EUR, valid_days: 3}")
    folder = shop.project / "templates/gift/ends"
    folder.mkdir()
    for part in ("subject.txt", "body.html", "body.txt"):
        (folder / part).write_text("Ends: {{ voucher.code or 'none' }}")
    steps = [*GIFT["steps"], {"name": "ends", "template": "gift/ends", "after": "2d"}]
    write(shop.project, None, {**GIFT, "steps": steps})
    names = ["anna", "ben", "cat"]
    people(shop, *names, "eve")
    decide(shop)
    send(shop)
    first = mailed(shop)
    assert try_at_till(shop, first["ben"]) == "ok"
    with shop.store.write() as store:
        pool.withdraw(store, [first["cat"]], shop.as_of)
    later = on(shop, "2026-04-02")
    eve = {"customer_id": "eve", "into_customer_id": "fay"}  # whom she was found to be meanwhile
    insert(shop, "person_merge", **eve, is_in_force=1, recorded_at="2026-04-01T12:00:00+00:00")
    people(later, *names, "dan", "fay", known_as=[eve])
    decide(later)
    keys = {
        row["customer_id"]: row["send_key"]
        for row in rows(shop, "select customer_id, send_key from outbox where step = 'ends'")
    }
    told = pool.of_messages(shop.store, list(keys.values()), later.business_date)
    assert {key: one["code"] for key, one in told.items()} == {
        keys["anna"]: codes.spoken(first["anna"]),
        keys["fay"]: codes.spoken(first["eve"]),
    }
    assert pool.of_messages(shop.store, list(keys.values()), date(2026, 4, 3)) == {}
    send(later)
    said = [
        str(email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["subject"])
        for path in (shop.home.mail / "2026-04-02").glob("*.eml")
    ]
    assert sorted(one for one in said if one.startswith("Ends")) == [
        *sorted(f"Ends: {codes.spoken(first[name])}" for name in ("anna", "eve")),
        "Ends: none", "Ends: none",
    ]  # fmt: skip
    with shop.store.write() as store:
        (own,) = pool.make(store, "cake", Terms(), count=1, batch="own", at=shop.as_of)
    insert(shop, "reward_grant", send_key=keys["anna"], reward="cake", code=own)
    (told,) = pool.of_messages(shop.store, [keys["anna"]], later.business_date).values()
    assert told["code"] == codes.spoken(own), "what it brings itself goes before"
    with shop.store.write() as store:
        store.run("delete from reward_grant where code = :own", own=own)
        store.run("update outbox set state = 'cancelled' where step = 'first'")
    assert pool.of_messages(shop.store, list(keys.values()), later.business_date) == {}


@SQLITE
def test_only_a_later_step_of_the_same_journey_tells_a_code_whose_message_may_have_come(
    shop: Workspace,
) -> None:
    rewards(shop.project, "voucher: {amount: 500, currency: EUR}")
    people(shop, "anna")
    decide(shop)
    (first,) = rows(shop, "select * from outbox")
    steps = {
        "later": {}, "before": {"message_id": 0}, "again": {"occurrence": "x"}, "other": {"campaign": "x"},
    }  # fmt: skip
    for number, (key, its) in enumerate(steps.items(), 9):
        row = {**first, "send_key": key, "step": "ends", "message_id": number, **its}
        insert(shop, "outbox", **row)
    code = rows(shop, "select code from voucher")[0]["code"]
    gone = dict.fromkeys(("points", "points_back", "paid", "discount"), 0)
    insert(shop, "redemption", redemption_id="h", store_id="S1", state="held", at="2026", **gone)
    insert(shop, "voucher_use", redemption_id="h", code=code, discount=0)  # and may be void yet
    found = []
    for state in ("ready", "ambiguous"):
        with shop.store.write() as store:
            store.run("update outbox set state = :state where step = 'first'", state=state)
        found.append(pool.of_messages(shop.store, list(steps), shop.business_date))
    assert found == [{}, {"later": {"code": codes.spoken(code), "valid_until": None}}]


@SQLITE
def test_a_code_that_was_withdrawn_goes_out_with_no_message(shop: Workspace) -> None:
    people(shop, "anna", "ben")
    decide(shop)
    (first, _) = [
        row["code"] for row in rows(shop, "select code from reward_grant order by send_key")
    ]
    with shop.store.write() as store:
        assert pool.withdraw(store, [first], shop.as_of) == 1
    sent = send(shop)
    assert (sent.accepted, sent.cancelled) == (1, 1)
    assert first not in mailed(shop).values()
    (why,) = rows(shop, "select state_reason from outbox where state = 'cancelled'")
    assert why["state_reason"] == "no_reward_left: its voucher was withdrawn"


@SQLITE
def test_a_message_that_does_not_leave_gives_nothing(shop: Workspace) -> None:
    people(shop, "anna")
    decide(shop)
    with shop.store.write() as store:
        store.run("update outbox set state = 'cancelled'")
    assert states(shop) == {"withdrawn": 1}
    assert try_at_till(shop, rows(shop, "select code from voucher")[0]["code"]) == "unknown-voucher"


@SQLITE
@pytest.mark.parametrize("state", ["calling", "ambiguous", "reconciled"])
def test_a_code_is_good_where_its_message_may_have_arrived(shop: Workspace, state: str) -> None:
    people(shop, "anna")
    decide(shop)
    with shop.store.write() as store:
        store.run("update outbox set state = :state", state=state)
    assert try_at_till(shop, rows(shop, "select code from voucher")[0]["code"]) == "ok"


@SQLITE
def test_a_code_for_its_customer_alone_is_nobody_elses(shop: Workspace) -> None:
    rewards(
        shop.project, "voucher: {amount: 500, currency: EUR, per_customer: true, valid_days: 9}"
    )
    known = [person(name, card_id=f"K-{name}") for name in ("anna", "ben")]
    people(shop, "anna", customers=known)
    decide(shop)
    send(shop)
    cards.refresh(shop)
    code = mailed(shop)["anna"]
    assert try_at_till(shop, code, card="K-ben") == "unknown-voucher"
    assert try_at_till(shop, code, card="K-anna") == "ok"


@BOTH_STORES
def test_a_code_of_a_prospects_own_is_theirs_when_they_are_a_customer(shop: Workspace) -> None:
    """They have no card before; the till knew nothing of it afterwards."""
    rewards(
        shop.project, "voucher: {amount: 500, currency: EUR, per_customer: true, valid_days: 9}"
    )
    people(shop, "prospect:p1", customers=[{**person("prospect:p1"), "email": "p1@shop.example"}])
    decide(shop)
    send(shop)
    known = [person("anna", card_id="K-anna"), person("ben", card_id="K-ben")]
    became = [
        {"customer_id": "prospect:p1", "into_customer_id": "anna"},
        {
            "customer_id": "ben",
            "into_customer_id": "anna",
        },  # whom a merge joins, and may part again
    ]
    people(shop, customers=known, known_as=became, consents=[], audience_all=[])
    (code,) = [row["code"] for row in rows(shop, "select code from voucher")]
    cards.refresh(shop)
    assert try_at_till(shop, code, card="K-ben") == "unknown-voucher"
    assert try_at_till(shop, code, card="K-anna") == "ok"


@SQLITE
def test_a_code_keeps_the_terms_it_was_given_under(shop: Workspace) -> None:
    people(shop, "anna")
    decide(shop)
    send(shop)
    rewards(shop.project, "voucher: {amount: 1, currency: EUR}")
    code = mailed(shop)["anna"]
    with served(shop) as client:
        taken = Counter(shop, client).take(vouchers=[code], basket=basket(1000)).json()
    assert taken["discount"] == 500


@SQLITE
def test_a_preview_takes_no_code_from_anybody(shop: Workspace) -> None:
    people(shop, "anna")
    page = preview(shop, "gift/code", customer_id="anna").read_text()
    assert codes.spoken(codes.TEST_CODE) in page
    assert rows(shop, "select * from voucher") == []


@SQLITE
def test_a_voucher_that_cannot_be_is_a_sentence_before_anything_is_planned(shop: Workspace) -> None:
    rewards(shop.project, "voucher: {percent: 500}")
    people(shop, "anna")
    with pytest.raises(
        BadInput, match="the voucher of 'cake' cannot be; 'tessera programme check'"
    ):
        decide(shop)


# ---------- pools


@BOTH_STORES
def test_a_pool_gives_each_code_once_and_gives_again_what_never_left(shop: Workspace) -> None:
    rewards(shop.project, "voucher: {codes: pool, valid_days: 5}")
    with shop.store.write() as store:
        its = Terms(codes="pool", valid_days=5)
        made = pool.make(store, "cake", its, count=5, batch="bought", at=shop.as_of)
        pool.withdraw(store, made[:1], shop.as_of)
    gone = dict.fromkeys(("points", "points_back", "paid", "discount"), 0)
    insert(shop, "redemption", redemption_id="r", store_id="S1", state="used", at="2026", **gone)
    insert(shop, "voucher_use", redemption_id="r", code=made[1], discount=0)
    spoilt = {"withdrawn": 1, "used": 1}
    people(shop, *(f"p{n}" for n in range(5)))
    assert decide(shop).planned == 3
    assert states(shop) == {"reserved": 3, **spoilt}
    first = {row["code"] for row in rows(shop, "select code from reward_grant")}
    with shop.store.write() as store:
        store.run("update outbox set state = 'cancelled' where message_id = 1")
    assert states(shop) == {"free": 1, "reserved": 2, **spoilt}
    tomorrow = on(shop, "2026-04-01")
    with shop.store.write() as store:
        ends = Terms(codes="pool", valid_until=shop.business_date)
        days = (shop.business_date, tomorrow.business_date)
        assert [pool.free(store, "cake", ends, day) for day in days] == [1, 0]
        pool.make(store, "cake", its, count=1, batch="bought", at=tomorrow.as_of)  # goes last
    people(tomorrow, "q0")
    assert decide(tomorrow).planned == 1
    again = rows(shop, "select code from reward_grant")
    assert {row["code"] for row in again} == first
    assert len(again) == 3


@BOTH_STORES
def test_a_code_is_withdrawn_before_a_pass_or_after_it_and_not_in_its_midst(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass had counted it, found one too few in the end, and the day was over."""
    rewards(shop.project, "voucher: {codes: pool, valid_days: 5}")
    with shop.store.write() as store:
        its = Terms(codes="pool", valid_days=5)
        made = pool.make(store, "cake", its, count=2, batch="bought", at=shop.as_of)
    people(shop, "anna", "ben")

    def withdraw() -> None:
        with shop.store.write() as store:
            pool.withdraw(store, made[:1], shop.as_of)

    operator, left = threading.Thread(target=withdraw), decide_rewards.left

    def counted(*given: Any) -> pa.Table:
        found = left(*given)
        operator.start()
        operator.join(0.3)
        return found

    monkeypatch.setattr("tessera.decide.rewards.left", counted)
    assert decide(shop).planned == 2
    operator.join()
    sent = send(shop)
    assert (sent.accepted, sent.cancelled) == (1, 1)


@SQLITE
def test_a_pools_code_is_given_under_the_terms_of_today_all_of_them(shop: Workspace) -> None:
    """How often and from when on too; it kept those of the day on which the pool was bought."""
    with shop.store.write() as store:
        pool.make(store, "cake", Terms(codes="pool"), count=1, batch="bought", at=shop.as_of)
    rewards(shop.project, "voucher: {codes: pool, uses: 2, valid_days: 9, valid_from: 2026-04-02}")
    people(shop, "anna")
    decide(shop)
    send(shop)
    code = mailed(shop)["anna"]
    assert try_at_till(shop, code) == "voucher-not-valid-yet"
    later = on(shop, "2026-04-02")
    assert [try_at_till(later, code) for _ in range(3)] == ["ok", "ok", "voucher-used"]


@SQLITE
def test_a_pools_code_whose_message_never_left_is_free_after_its_day_too(shop: Workspace) -> None:
    rewards(shop.project, "voucher: {codes: pool, valid_days: 2}")
    its = Terms(codes="pool", valid_days=2)
    with shop.store.write() as store:
        pool.make(store, "cake", its, count=1, batch="bought", at=shop.as_of)
    people(shop, "anna")
    decide(shop)
    with shop.store.write() as store:
        store.run("update outbox set state = 'cancelled'")
    later = on(shop, "2026-04-09")
    assert states(later) == {"free": 1}
    with shop.store.read() as store:
        assert pool.free(store, "cake", its, later.business_date) == 1


def erase(ws: Workspace, customer_id: str) -> None:
    """The store's part of it."""
    sent = rows(ws, "select send_key from outbox where customer_id = :id", id=customer_id)
    its = Identity(
        customers=frozenset({customer_id}), send_keys=frozenset(row["send_key"] for row in sent)
    )
    with ws.store.write() as store:
        records.forget(store, its, {customer_id: "nobody"}, "2026-04-01T00:00:00+00:00")


@BOTH_STORES
@pytest.mark.parametrize(
    ("own", "told", "then"),
    [(False, "given", "ok"), (True, "withdrawn", "voucher-withdrawn")],
)
def test_a_code_that_left_goes_to_nobody_else_when_its_reader_is_erased(
    shop: Workspace, own: bool, told: str, then: str
) -> None:
    """It was free again, and two had it; one of a customer's own came back with its partner's next file."""
    its = Terms(codes="pool", valid_days=5, per_customer=own)
    rewards(
        shop.project,
        f"limit: 2, voucher: {{codes: pool, valid_days: 5, per_customer: {str(own).lower()}}}",
    )
    with shop.store.write() as store:
        made = pool.make(store, "cake", its, count=2, batch="bought", at=shop.as_of)
    people(shop, "anna")
    decide(shop)
    send(shop)
    hers = mailed(shop)["anna"]
    erase(shop, "anna")
    with shop.store.write() as store:
        assert pool.add(store, "cake", its, made, batch="again", at=shop.as_of) == 0
    assert states(shop) == {"free": 1, told: 1}
    tomorrow = on(shop, "2026-04-01")
    people(tomorrow, "ben", "cleo")
    assert decide(tomorrow).planned == 1, "the limit counts what was given to her"
    erase(tomorrow, "ben")  # whose message, if it was his, had not left
    erase(tomorrow, "cleo")
    assert states(shop) == {"free": 1, told: 1}
    assert try_at_till(shop, hers) == then


@SQLITE
def test_a_made_code_of_who_was_erased_before_their_message_left_is_worth_nothing(
    shop: Workspace,
) -> None:
    people(shop, "anna", "ben")
    decide(shop)
    erase(shop, "anna")
    assert states(shop) == {"withdrawn": 1, "reserved": 1}


@SQLITE
def test_a_return_is_reckoned_by_the_voucher_of_who_was_erased(shop: Workspace) -> None:
    """Its terms were gone with the code, and the refund was short of the discount that was kept."""
    rewards(shop.project, "voucher: {percent: 10, per_customer: true, valid_days: 9}")
    people(shop, "anna", customers=[person("anna", card_id="K-anna")])
    decide(shop)
    send(shop)
    cards.refresh(shop)
    with served(shop) as client:
        till = Counter(shop, client)
        body = {"vouchers": [mailed(shop)["anna"]], "card": "K-anna", "basket": basket(600, 400)}
        taken = till.take(**body).json()
        erase(shop, "anna")
        back = till.settle(taken["redemption"], "return", kept=basket(600)).json()
    assert (taken["discount"], back["discount_kept"], back["refund"]) == (100, 60, 360)
    assert states(shop) == {"used": 1}


@SQLITE
def test_a_code_that_was_held_back_at_the_provider_is_free_when_that_is_certain(
    shop: Workspace,
) -> None:
    """It may have left before; then two had it."""
    rewards(shop.project, "voucher: {codes: pool, valid_days: 9}")
    with shop.store.write() as store:
        its = Terms(codes="pool", valid_days=9)
        pool.make(store, "cake", its, count=1, batch="bought", at=shop.as_of)
    people(shop, "anna")
    decide(shop)
    send(shop)
    with shop.store.write() as store:
        store.run("update outbox set state = 'cancelled', state_reason = 'cancelled_at_provider'")
    told = []
    for day in (on(shop, "2026-04-01"), on(shop, "2026-04-02")):
        people(day, "ben")
        told.append((states(day), decide(day).planned))
    assert told == [({"withdrawn": 1}, 0), ({"free": 1}, 1)]


@SQLITE
def test_two_rewards_of_the_same_terms_have_a_pool_each(shop: Workspace) -> None:
    its = Terms(codes="pool")
    with shop.store.write() as store:
        for reward, count in (("cake", 2), ("tea", 3)):
            pool.make(store, reward, its, count=count, batch="bought", at=shop.as_of)
        free = [pool.free(store, one, its, shop.business_date) for one in ("cake", "tea")]
    assert free == [2, 3]


@SQLITE
def test_a_code_is_held_as_long_as_the_reservation(shop: Workspace) -> None:
    printed = Terms(amount=100, currency="EUR")
    with shop.store.write() as store:
        (code,) = pool.make(store, "cake", printed, count=1, batch="flyers", at=shop.as_of)
    with served(shop) as client:
        assert Counter(shop, client).reserve(vouchers=[code], hold_seconds=60).is_success
    assert states(shop) == {"held": 1}
    assert states(on(shop, "2026-04-01")) == {"printed": 1}


@SQLITE
def test_a_pools_code_that_was_not_given_is_nothing_to_a_till(shop: Workspace) -> None:
    its = Terms(codes="pool")
    with shop.store.write() as store:
        (code,) = pool.make(store, "cake", its, count=1, batch="bought", at=shop.as_of)
        printed = Terms(amount=100, currency="EUR")
        (flyer,) = pool.make(store, "cake", printed, count=1, batch="flyers", at=shop.as_of)
    assert try_at_till(shop, code) == "unknown-voucher"
    assert try_at_till(shop, flyer) == "ok"


@BOTH_STORES
def test_codes_on_paper_go_out_with_no_message_when_the_reward_becomes_a_pool(
    shop: Workspace,
) -> None:
    """Whoever has the flyer could use what was sent to somebody as their own."""
    printed, bought = Terms(amount=500, currency="EUR"), Terms(codes="pool")
    with shop.store.write() as store:
        (flyer,) = pool.make(store, "cake", printed, count=1, batch="flyers", at=shop.as_of)
    rewards(shop.project, "voucher: {codes: pool, valid_days: 2}")
    people(shop, "anna", "ben")
    assert decide(shop).planned == 0
    with shop.store.write() as store:
        (code,) = pool.make(store, "cake", bought, count=1, batch="bought", at=shop.as_of)
    tomorrow = on(shop, "2026-04-01")
    people(tomorrow, "cleo", "dan")
    assert decide(tomorrow).planned == 1
    send(tomorrow)
    assert list(mailed(shop).values()) == [code]
    told = {
        row["batch"]: row for row in pool.summary(shop.store, at=shop.as_of, day=shop.business_date)
    }
    assert (told["flyers"]["printed"], told["flyers"]["free"], told["bought"]["given"]) == (1, 0, 1)
    assert try_at_till(shop, flyer) == "ok"


# ---------- the command


def run(ws: Workspace, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(
        "tessera.settings.load", lambda **_: Settings(_env_file=None, **dict(ws.settings))
    )
    return CliRunner().invoke(app, ["voucher", *arguments])


@SQLITE
def test_codes_are_made_listed_shown_and_withdrawn(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "codes.txt"
    made = run(shop, monkeypatch, "make", "cake", "1000", "--batch", "spring", "--to", str(file))
    assert made.output == "1,000 codes of 'cake' are made.\n"
    printed = file.read_text().split()
    assert len(set(printed)) == 1000
    assert file.stat().st_mode & 0o077 == 0
    assert "spring" in run(shop, monkeypatch, "list").output
    assert "printed" in run(shop, monkeypatch, "show", printed[0]).output
    assert run(shop, monkeypatch, "withdraw", printed[0]).exit_code == 0
    assert "withdrawn" in run(shop, monkeypatch, "show", printed[0].lower()).output
    again = run(shop, monkeypatch, "make", "cake", "5", "--batch", "spring")
    assert "call this one otherwise" in str(again.exception)
    there = run(shop, monkeypatch, "make", "cake", "5", "--batch", "summer", "--to", str(file))
    assert f"{file} is there already" in str(there.exception)
    assert file.read_text().split() == printed
    rewards(shop.project, "limit: 9}\n  - {reward: tea")
    assert run(shop, monkeypatch, "make", "tea", "1", "--batch", "spring").exit_code == 0
    wrong = run(shop, monkeypatch, "make", "kake", "5", "--batch", "b")
    assert "Did you mean 'cake'?" in str(wrong.exception)
    for command in ("show", "withdraw"):
        slip = run(shop, monkeypatch, command, "1" + printed[0][1:-1])
        assert "slip of the pen" in str(slip.exception)
    both = run(shop, monkeypatch, "withdraw", printed[1], "7KQW-3H2M-9TZ46")
    assert str(both.exception) == "There is no code '7KQW-3H2M-9TZ46'; nothing was withdrawn."
    assert "printed" in run(shop, monkeypatch, "show", printed[1]).output
    assert run(shop, monkeypatch, "withdraw", printed[0]).output.startswith("0 of 1 codes were")
    assert run(shop, monkeypatch, "withdraw", *printed[:2]).output.startswith("1 of 2 codes were")


@SQLITE
def test_somebody_elses_codes_are_imported_once(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text("code\nAB12\nab 13\n")
    ours = ("import", "cake", str(file), "--batch", "partner")
    assert "2 codes of 'cake' are new" in run(shop, monkeypatch, *ours).output
    assert "0 codes of 'cake' are new, 2 were there" in run(shop, monkeypatch, *ours).output
    file.write_text("code\nAB12\nAB-12\n")
    assert "names 1 codes twice" in str(run(shop, monkeypatch, *ours).exception)
    file.write_text("AB12\n;;\n")
    assert "code 2 is ';;'" in str(run(shop, monkeypatch, *ours).exception)
    for nobodys in (
        "ÄB12",
        "A" * 65,
        codes.spoken(codes.TEST_CODE),
    ):  # no till can be told, or takes, such a code
        file.write_text(f"AB14\n{nobodys}\n")
        assert "code 2 is" in str(run(shop, monkeypatch, *ours).exception)
    assert run(shop, monkeypatch, "import", "cake", "nowhere.csv", "--batch", "x").exit_code != 0


@SQLITE
def test_a_redemption_of_another_system_uses_up_the_code_that_tills_read(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("code\nOIL-55\nsave 10\n")
    assert run(shop, monkeypatch, "import", "cake", str(file), "--batch", "partner").exit_code == 0
    file.write_text("code,who,day\nOIL-55,1,2026-03-01\nSAVE-10,2,2026-03-01\n--,3,2026-03-01\n")
    asked = ("import-redemptions", str(file), "--reward", "cake", "--code", "code")
    asked += ("--customer", "who", "--on", "day", "--json")
    told = run(shop, monkeypatch, *asked).output
    assert '"unusable": 1' in told
    assert '"codes": 0' in told
    assert states(shop) == {"used": 2}
    assert '"redemptions": 0' in run(shop, monkeypatch, *asked).output


@SQLITE
def test_real_redemptions_are_taken_in_once_and_tie_out(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = (
        "household,coupon,campaign,day\n1,51380041013,26,2017-01-01\n1,51380041013,26,2017-01-01\n"
    )
    told += "2,51380041013,26,2017-01-02\n3,,26,2017-01-02\n4,9,26,tomorrow\n"
    file = tmp_path / "redemptions.csv.gz"
    file.write_bytes(gzip.compress(told.encode()))
    asked = ("import-redemptions", str(file), "--reward", "cake", "--code", "coupon")
    asked += ("--customer", "household", "--on", "day", "--json")
    first = run(shop, monkeypatch, *asked)
    assert '"redemptions": 3' in first.output
    assert '"unusable": 2' in first.output
    assert '"redemptions": 0' in run(shop, monkeypatch, *asked).output
    tied = "select code, count(*) as n from voucher_use join redemption using (redemption_id) "
    tied += "where state = 'used' group by code"
    assert [dict(row) for row in rows(shop, tied)] == [{"code": "51380041013", "n": 3}]
    assert states(shop) == {"used": 1}
    file.write_bytes(gzip.compress((told + "5,51380041013,26,2017-02-01\n").encode()))
    assert '"redemptions": 1' in run(shop, monkeypatch, *asked).output
    assert states(shop) == {"used": 1}
    no_column = run(shop, monkeypatch, *asked[:5], "nix", *asked[6:])
    assert no_column.exit_code != 0


@BOTH_STORES
def test_what_another_system_says_is_of_the_shops_days_and_of_whom_it_names(
    shop: Workspace, store_url: str, tmp_path: Path
) -> None:
    its = {"timezone": "Europe/Athens", "store_url": store_url}
    ws = workspace(tmp_path / "athens", "2026-03-31", project=shop.project, **its)
    file = tmp_path / "told.csv"
    file.write_text(
        "code,who,day\nSAVE10,1,2026-03-01\nsave10, ,2026-03-01 15:00\nSAVE10,1,2026-03-02\n,9,2026-03-01\n"
    )

    def take_in(path: Path) -> history.Taken:
        return history.take_in(ws, path, "cake", Terms(), code="code", customer="who", on="day")

    done = take_in(file)
    assert (done.rows, done.unusable, done.redemptions, done.customers) == (4, 1, 3, 1)
    told = "select at, customer_id from redemption left join redemption_member using (redemption_id) order by at"
    assert [(row["at"][:16], row["customer_id"]) for row in rows(ws, told)] == [
        ("2026-02-28T22:00", "1"), ("2026-03-01T13:00", None), ("2026-03-01T22:00", "1"),
    ]  # fmt: skip
    with duckdb.connect() as duck:
        duck.execute(f"copy (from '{file}') to '{file.with_suffix('.parquet')}'")
    assert take_in(file.with_suffix(".parquet")).redemptions == 0
    with ws.store.write() as store:  # a code of our own is good as often as it was
        pool.add(store, "cake", Terms(), ["SAVE20"], batch="bought", at=ws.as_of)
    file.write_text("code,who,day\nSAVE10,1,2026-03-05\nSAVE20,1,2026-03-05\nSAVE20,1,2026-03-06\n")
    assert take_in(file).redemptions == 3
    used = rows(ws, "select code, uses from voucher order by code")
    assert [tuple(row.values()) for row in used] == [("SAVE10", 4), ("SAVE20", 1)]
    ws.store.close()
