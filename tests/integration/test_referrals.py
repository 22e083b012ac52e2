"""Friends: claimed once, rewarded on both sides after a purchase that was kept, and never oneself."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tessera.person.identity import find
from tessera.reward import cards, referrals
from tessera.reward.programme import FILE
from tessera.reward.referrals import ReferralReport
from tessera.say.links import secret_of
from tessera.testing import line, publish
from tessera.tokens import REFERRAL, sign
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.deciding import insert
from tests.integration.test_web import mails, submit
from tests.sending import enqueue, outbox_row
from tests.serving import served
from tests.tilling import Counter, amend, balance, later, member, rows, shop

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
BOUGHT = "2026-03-31 13:00"
KEPT = "2026-04-15T12:00:00+00:00"


@pytest.fixture
def ws(store_url: str, tmp_path: Path) -> Iterator[Workspace]:
    found = shop(tmp_path, store_url, members=4)
    yield found
    found.store.close()


def code(ws: Workspace, customer_id: str) -> str:
    with ws.store.read() as store:
        return referrals.code_of(store, customer_id) or ""


def enrol(ws: Workspace, card: str, by: str | None = None, device: str | None = None) -> bool:
    """A friend takes a card at the till and says whose friend they are."""
    body = {"card": card, "referral": code(ws, by) if by else None, "device": device}
    with served(ws) as client:
        answer = Counter(ws, client).post("/members", body)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["referral"])


def settle(ws: Workspace, *lines: dict[str, Any], at: str = KEPT, **people: Any) -> ReferralReport:
    """A night on which the models know these receipts, and `people` beside the members."""
    known = [member(number) for number in range(4)]
    publish(ws, customers=[*known, *people.get("customers", ())], transactions=lines)
    return referrals.settle(later(ws, at))


def merge(ws: Workspace, was: str, now: str, at: str = "2026-04-02T09:00:00+00:00") -> None:
    """Somebody is found to be another."""
    whose = {"customer_id": was, "into_customer_id": now}
    insert(ws, "person_merge", **whose, is_in_force=1, recorded_at=at)


def verdicts(ws: Workspace) -> dict[str, str | None]:
    return {row["customer_id"]: row["verdict"] for row in rows(ws, "select * from referral")}


def friend(card: str = "KF", **columns: Any) -> dict[str, Any]:
    return {"customer_id": card, "card_id": card, **columns}


@BOTH_STORES
def test_both_sides_are_rewarded_once_when_the_first_purchase_was_kept(ws: Workspace) -> None:
    assert enrol(ws, "KF", by="c0")
    sale = line("r1", "KF", 1000, sold_at=BOUGHT)
    early = settle(ws, sale, at="2026-04-14T12:00:00+00:00", customers=[friend()])
    assert early.waiting == 1
    assert settle(ws, sale, customers=[friend()]).rewarded == 1
    assert settle(ws, sale, customers=[friend()]).rewarded == 0
    assert (balance(ws, "c0")["available"], balance(ws, "KF")["available"]) == (500, 200)
    keys = [row["idem_key"] for row in rows(ws, "select idem_key from transfer order by idem_key")]
    assert [key.split(":")[::2] for key in keys] == [
        ["referral", "friend"],
        ["referral", "referrer"],
    ]
    assert not any("KF" in key for key in keys), "which outlives the friend, who may be erased"
    with ws.store.write() as store:  # a till without a line posts late what came before
        referrals.claim(store, "KF", referrals.code_of(store, "c1"), ws.as_of - timedelta(hours=1))
    assert rows(ws, "select referred_by from referral") == [{"referred_by": "c0"}]


@SQLITE
def test_a_purchase_that_came_back_or_was_too_small_rewards_nobody(ws: Workspace) -> None:
    """Complaint 27: referrals were farmed with accounts that bought nothing."""
    enrol(ws, "KF", by="c0")
    sale = line("r1", "KF", 1500, sold_at=BOUGHT)
    back = line("r2", "KF", -600, sold_at="2026-04-02", original_transaction_id="r1")
    small = line("r3", "KF", 999, sold_at=BOUGHT)
    assert settle(ws, sale, back, small, customers=[friend()]).waiting == 1
    unseen = {**back, "customer_id": None}  # brought back without a card
    assert settle(ws, sale, unseen, small, customers=[friend()]).waiting == 1
    kept = line("r4", "KF", 1000, sold_at="2026-04-03")
    assert settle(ws, sale, back, small, kept, customers=[friend()]).waiting == 1
    later_ = "2026-04-17T12:00:00+00:00"
    tomorrow = line("r5", "KF", -900, sold_at="2026-04-18", original_transaction_id="r4")
    known = (sale, back, small, kept, tomorrow)  # a day that is run again knows what came after it
    assert settle(ws, *known, at=later_, customers=[friend()]).rewarded == 1
    assert rows(ws, "select receipt_id from referral")[0]["receipt_id"] == "r4"


@SQLITE
@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"household_id": "h0"}, "same_household"),
        ({"email": " PERSON0@mail.example"}, "same_address"),
        ({"email": "person0+more@Mail.example"}, "same_address"),
        ({"phone": "+371 2000-0000"}, "same_address"),
        ({"phone": "00371 20 000 000"}, "same_address"),
        ({"phone": "(20) 000000"}, "same_address"),
        ({"customer_id": "c0"}, "self"),  # the card was registered as the referrer's second one
        ({"card_id": "K0"}, "same_card"),
        ({"phone": "+371 3000 0000"}, "rewarded"),  # a neighbour's number
    ],
)
def test_nobody_is_their_own_friend(ws: Workspace, columns: dict[str, Any], verdict: str) -> None:
    """Complaint 27: self-referral, by a second card, household or address."""
    enrol(ws, "KF", by="c0")
    known = [member(0, household_id="h0", phone="+37120000000"), *map(member, (1, 2, 3))]
    if columns.get("customer_id") == "c0":
        known = [member(0, card_id="KF"), *known[1:]]
    else:
        known.append(friend(**columns))
    whose = columns.get("customer_id", "KF")
    publish(ws, customers=known, transactions=[line("r1", whose, 1000, sold_at=BOUGHT)])
    referrals.settle(later(ws, KEPT))
    assert verdicts(ws) == {"KF": verdict}
    assert balance(ws, "c0")["available"] == (500 if verdict == "rewarded" else 0)


@SQLITE
def test_a_customer_already_is_no_new_friend(ws: Workspace) -> None:
    """Who bought this morning and took the card at noon is one: till and desk have clocks of their own."""
    for card in ("KF", "KG"):
        enrol(ws, card, by="c0")
    sales = [
        line("r1", "KF", 500, sold_at="2026-03-30 11:59"),
        line("r2", "KF", 1000, sold_at=BOUGHT),
    ]
    same_day = line("r3", "KG", 1000, sold_at="2026-03-30 12:01")
    settle(ws, *sales, same_day, customers=[friend(), friend("KG")])
    assert verdicts(ws) == {"KF": "customer_already", "KG": "rewarded"}


@SQLITE
def test_who_was_merged_meanwhile_is_rewarded_as_who_they_are_and_once(ws: Workspace) -> None:
    """Also a friend with two cards whom two brought: the first did."""
    enrol(ws, "KF", by="c0")
    enrol(ws, "KG", by="c2")
    for was, now in (("c0", "c1"), ("KG", "KF")):
        merge(ws, was, now)
    undone = {"customer_id": "KF", "into_customer_id": "c1", "is_in_force": 0}
    insert(ws, "person_merge", **undone, recorded_at="2026-04-02T09:00:00+00:00")
    sale = line("r1", "KF", 1000, sold_at=BOUGHT)
    publish(ws, customers=[*map(member, (1, 2, 3)), friend()], transactions=[sale])
    report = referrals.settle(later(ws, KEPT))
    assert (report.rewarded, report.refused) == (1, 1)
    enrol(ws, "KH", by="c3")  # a third card, posted and found to be theirs when all that is over
    merge(ws, "KH", "KF")
    assert referrals.settle(later(ws, KEPT)).refused == 1
    assert verdicts(ws) == {"KF": "rewarded", "KG": "customer_already", "KH": "customer_already"}
    assert (balance(ws, "c1")["available"], balance(ws, "KF")["available"]) == (500, 200)


@SQLITE
def test_one_device_brings_one_friend(ws: Workspace) -> None:
    enrol(ws, "KREF", device="phone-1")
    people = [friend("KREF"), friend("KF"), friend("KG"), friend("KH")]
    publish(ws, customers=[*map(member, range(4)), people[0]])
    cards.refresh(ws)
    enrol(ws, "KF", by="KREF", device="phone-1")
    enrol(ws, "KG", by="c1", device="phone-2")
    enrol(ws, "KH", by="c1", device="phone-2")
    sales = [line(f"r{k}", k, 1000, sold_at=BOUGHT) for k in ("KF", "KG", "KH")]
    settle(ws, *sales, customers=people)
    assert {k: v for k, v in verdicts(ws).items() if k != "KREF"} == {
        "KF": "same_device",
        "KG": "same_device",
        "KH": "same_device",
    }
    assert "phone" not in str(rows(ws, "select * from referral"))
    assert len({referrals.device_hash(secret, "phone-1") for secret in (b"a", b"b")}) == 2


@SQLITE
def test_a_ring_of_friends_rewards_nobody(ws: Workspace) -> None:
    people = [friend(card) for card in ("KA", "KB", "KC")]
    for card in ("KA", "KB", "KC"):
        enrol(ws, card)
    publish(ws, customers=[*map(member, range(4)), *people])
    cards.refresh(ws)
    with ws.store.write() as store:
        for one, by in (("KA", "KB"), ("KB", "KC"), ("KC", "KA")):
            own = referrals.code_of(store, by)
            assert referrals.claim(store, one, own, ws.as_of)
    sales = [line(f"r{k}", k, 1000, sold_at=BOUGHT) for k in ("KA", "KB", "KC")]
    assert settle(ws, *sales, customers=people).refused == 3
    assert set(verdicts(ws).values()) == {"ring"}


@SQLITE
def test_a_member_is_rewarded_for_so_many_friends(ws: Workspace) -> None:
    friends = [f"KF{n}" for n in range(4)]
    for card in friends:
        enrol(ws, card, by="c0")
    sales = [line(f"r{k}", k, 1000, sold_at=BOUGHT) for k in friends]
    report = settle(ws, *sales, customers=[friend(card) for card in friends])
    assert (report.rewarded, report.refused) == (2, 2)
    assert list(dict(sorted(verdicts(ws).items())).values()) == ["rewarded"] * 2 + ["limit"] * 2
    assert balance(ws, "c0")["available"] == 1000


@SQLITE
def test_the_limit_counts_friends_that_were_brought_under_another_name(ws: Workspace) -> None:
    """Two were rewarded before the member was found to be another."""
    friends = [f"KF{n}" for n in range(3)]
    for card in friends[:2]:
        enrol(ws, card, by="c0")
    sales = [line(f"r{k}", k, 1000, sold_at=BOUGHT) for k in friends]
    known = [friend(card) for card in friends]
    assert settle(ws, *sales, customers=known[:2]).rewarded == 2
    enrol(ws, friends[2], by="c1")
    merge(ws, "c0", "c1", at="2026-04-15T09:00:00+00:00")
    publish(ws, customers=[*map(member, (1, 2, 3)), *known], transactions=sales)
    assert referrals.settle(later(ws, KEPT)).refused == 1
    assert verdicts(ws)["KF2"] == "limit"


@SQLITE
def test_a_first_purchase_counts_in_the_programmes_currency(ws: Workspace) -> None:
    """1,000 yen are not the 10.00 euros that are asked for."""
    path = ws.project / FILE
    path.write_text(path.read_text("utf-8").replace("currency: any", "currency: EUR"), "utf-8")
    enrol(ws, "KF", by="c0")
    yen = line("r1", "KF", 1000, sold_at=BOUGHT, currency="JPY")
    both = line("r1", "KF", 999, sold_at=BOUGHT, line_id="2")
    assert settle(ws, yen, both, customers=[friend()]).waiting == 1
    euros = line("r2", "KF", 1000, sold_at="2026-04-01 09:00")
    assert settle(ws, yen, both, euros, customers=[friend()]).rewarded == 1


@BOTH_STORES
def test_a_friend_who_is_claimed_by_many_at_once_is_one_friend(ws: Workspace) -> None:
    """Complaint 27: a referral was claimed in parallel."""
    own = [code(ws, f"c{n}") for n in range(4)]
    gate = threading.Barrier(4)

    def claim(number: int) -> None:
        gate.wait()
        with ws.store.write() as store:
            referrals.claim(store, "KF", own[number], ws.as_of)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle(ws, line("r1", "KF", 1000, sold_at=BOUGHT), customers=[friend()])
    assert sum(balance(ws, f"c{n}")["available"] for n in range(4)) == 500


@SQLITE
def test_a_made_up_code_is_nobodys(ws: Workspace) -> None:
    with served(ws) as client:
        body = {"card": "KF", "referral": "0000-0000-00000"}
        answer = Counter(ws, client).post("/members", body)
    assert answer.json() == {"card": "KF", "referral": False}
    assert verdicts(ws) == {}


@SQLITE
def test_an_invitation_says_who_invites_and_is_sent_once(ws: Workspace) -> None:
    keys = enqueue(ws, *(outbox_row(f"c{n}", state="accepted") for n in range(2)))
    with served(ws) as client:
        for key in (keys[0], keys[0], keys[1]):
            landing = client.get(f"/r/{sign(secret_of(ws), REFERRAL, key)}").text
            (join,) = re.findall(r'class="button" href="(/join[^"]+)"', landing)
            submit(client, join, email="friend@mail.example", agreed="yes")
    assert "Name1 likes to shop here and thought of you." in landing
    invitations = sorted(str(mail.get_body(("plain",)).get_content()) for mail in mails(ws))
    assert ["Name0" in text for text in invitations] == [True, False]
    assert "Name1" in invitations[1]


@SQLITE
def test_who_signed_up_through_a_friend_is_rewarded_as_the_customer_they_became(
    ws: Workspace,
) -> None:
    (key,) = enqueue(ws, outbox_row("c0", state="accepted"))
    with served(ws) as client:
        landing = client.get(f"/r/{sign(secret_of(ws), REFERRAL, key)}").text
        (join,) = re.findall(r'class="button" href="(/join[^"]+)"', landing)
        submit(client, join, email="friend@mail.example", agreed="yes")
        (mail,) = mails(ws)
        path = re.findall(
            r"http://[^/\s]+(/c/[^\s/]+)\s", str(mail.get_body(("plain",)).get_content())
        )
        submit(client, path[0])
    (row,) = rows(ws, "select customer_id from signup")
    became = friend(
        "K77", customer_id="c77"
    )  # the models tell who that is apart from the customers
    known = [{"customer_id": row["customer_id"], "into_customer_id": "c77"}]
    sale = line("r1", "c77", 1000, sold_at=BOUGHT)
    publish(ws, customers=[*map(member, range(4)), became], transactions=[sale], known_as=known)
    report = referrals.settle(later(ws, KEPT))
    assert (report.claimed, report.rewarded) == (1, 1)
    assert balance(ws, "c77")["available"] == 200


@SQLITE
def test_points_for_a_friend_last_as_long_as_those_of_a_purchase(ws: Workspace) -> None:
    amend(ws, "expiry: {kind: rolling, months: 1}\n")
    enrol(ws, "KF", by="c0")
    settle(ws, line("r1", "KF", 1000, sold_at=BOUGHT), customers=[friend()])
    lots = rows(ws, "select expires_on from lot")
    assert {row["expires_on"] for row in lots} == {"2026-05-15"}


@SQLITE
def test_points_for_a_friend_end_on_the_day_of_joining_where_all_do(ws: Workspace) -> None:
    amend(ws, "expiry: {kind: anniversary}\n")
    enrol(ws, "KF", by="c0")
    joined = friend(joined_at="2024-12-01 09:00:00")
    settle(ws, line("r1", "KF", 1000, sold_at=BOUGHT), customers=[joined])
    lots = rows(ws, "select expires_on from lot order by expires_on")
    assert [row["expires_on"] for row in lots] == ["2027-04-15", "2027-12-01"]


@BOTH_STORES
def test_tills_without_a_line_claim_a_friend_in_any_order_to_the_same_end(ws: Workspace) -> None:
    """The earliest who named a friend's code counts; who only told the device has claimed nobody."""
    day, own = "2026-03-30T1", [code(ws, f"c{n}") for n in range(2)]
    said = [
        {"at": f"{day}2:00:00Z", "referral": own[0]},
        {"at": f"{day}1:00:00Z", "device": "phone-1"},
        {"at": f"{day}3:00:00Z", "referral": own[1], "device": "phone-2"},
        {"at": f"{day}2:00:00Z", "referral": own[1]},
    ]
    with served(ws) as client:
        till = Counter(ws, client)
        for number, order in enumerate(itertools.permutations(range(4))):
            card = {"kind": "enrol", "card": f"KF{number}"}
            for which in order:
                told = till.batch({**card, "key": f"{number}-{which}", **said[which]})
                assert told[0]["status"] == "done"
    found = rows(ws, "select referred_by, device, at from referral")
    assert len(found) == 24
    assert len({tuple(row.values()) for row in found}) == 1
    assert (found[0]["referred_by"], found[0]["at"]) == ("c0", "2026-03-30T12:00:00+00:00")
    assert found[0]["device"]


@SQLITE
def test_of_two_friends_links_the_one_that_was_followed_first_counts(ws: Workspace) -> None:
    """It was the one whose number comes first in the alphabet. A link whose address nobody confirmed counts not."""
    signup = {
        "email": "f@mail.example",
        "address_hash": "f",
        "language": "en",
        "wording_version": "1",
    }
    for number, by in ((0, "c2"), (1, "c3"), (2, "c1")):
        at = f"2026-03-31T0{number}:00:00+00:00"
        told = {"signup_id": f"s{number}", "referred_by": by, "asked_at": at}
        told |= {"confirmed_at": at if number else None}
        insert(ws, "signup", customer_id="prospect:web-s1", **signup, **told)
    assert [settle(ws).claimed for _ in range(2)] == [1, 0]
    (row,) = rows(ws, "select referred_by, at from referral")
    assert (row["referred_by"], row["at"]) == ("c3", "2026-03-31T01:00:00+00:00")


@SQLITE
def test_who_has_not_bought_yet_may_bring_a_friend(ws: Workspace) -> None:
    """They had a code but were no customer to the models, and neither side ever got anything."""
    enrol(ws, "KREF")
    cards.refresh(ws)
    enrol(ws, "KF", by="KREF")
    sale = line("r1", "KF", 1000, sold_at=BOUGHT)
    early = "2026-04-01T00:00:00+00:00"
    assert settle(ws, sale, at=early, customers=[friend()]).waiting == 1
    assert settle(ws, sale, customers=[friend(), friend("KREF")]).rewarded == 1
    assert (balance(ws, "KREF")["available"], balance(ws, "KF")["available"]) == (500, 200)


@SQLITE
def test_who_was_brought_by_nobody_the_models_know_is_rewarded_nothing(ws: Workspace) -> None:
    enrol(ws, "KREF")
    cards.refresh(ws)
    enrol(ws, "KF", by="KREF")
    settle(ws, line("r1", "KF", 1000, sold_at=BOUGHT), customers=[friend()])
    assert verdicts(ws)["KF"] == "unknown_referrer"
    assert (balance(ws, "KREF")["available"], balance(ws, "KF")["available"]) == (0, 0)


@SQLITE
def test_a_friend_is_known_by_every_card_they_have(ws: Workspace) -> None:
    """Also by one that is not the last: such a friend waited for ever, such a referrer was unknown."""
    enrol(ws, "KF", by="c0")
    enrol(ws, "KREF")
    cards.refresh(ws)
    enrol(ws, "KG", by="KREF")
    owners = [("KF", "c0"), ("KREF", "c1"), ("KG", "KG"), *((f"K{n}", f"c{n}") for n in range(4))]
    known = [*map(member, range(4)), friend("KG")]
    sales = [line("r1", "c0", 1000, sold_at=BOUGHT), line("r2", "KG", 1000, sold_at=BOUGHT)]
    cards_ = [{"card_id": card, "customer_id": whose} for card, whose in owners]
    publish(ws, customers=known, transactions=sales, card_owners=cards_)
    referrals.settle(later(ws, KEPT))
    told = {row["customer_id"]: row for row in rows(ws, "select * from referral")}
    assert (told["KF"]["verdict"], told["KG"]["verdict"]) == ("self", "rewarded")
    assert balance(ws, "c1")["available"] == 500


@SQLITE
def test_the_code_of_a_second_card_goes_on_being_its_members(ws: Workspace) -> None:
    """It was passed on by then, and became nobody's; whom it names is forgotten with the member."""
    enrol(ws, "KREF")
    cards.refresh(ws)
    owners = [("KREF", "c1"), *((f"K{n}", f"c{n}") for n in range(4))]
    cards_ = [{"card_id": card, "customer_id": whose} for card, whose in owners]
    publish(ws, customers=[*map(member, range(4))], card_owners=cards_)
    cards.refresh(ws)
    assert enrol(ws, "KG", by="KREF")
    sale = line("r1", "KG", 1000, sold_at=BOUGHT)
    known = [*map(member, range(4)), friend("KG")]
    publish(ws, customers=known, transactions=[sale], card_owners=cards_)
    assert referrals.settle(later(ws, KEPT)).rewarded == 1
    assert (balance(ws, "c1")["available"], code(ws, "c1") != code(ws, "KREF")) == (500, True)
    assert "KREF" in find(ws, "c1").customers


@SQLITE
def test_a_device_is_told_again_whoever_the_member_is_by_now(ws: Workspace) -> None:
    """And one friend with two cards is not two friends with one telephone."""
    enrol(ws, "KF", by="c0", device="phone-1")
    enrol(ws, "KG", by="c1", device="phone-1")
    enrol(ws, "KH", by="c2", device="phone-2")
    enrol(ws, "KI", by="c2", device="phone-2")
    for was, now in (("c0", "c1"), ("KI", "KH")):
        merge(ws, was, now)
    people = [*map(member, (1, 2, 3)), *map(friend, ("KF", "KG", "KH"))]
    sales = [line(f"r{k}", k, 1000, sold_at=BOUGHT) for k in ("KF", "KG", "KH")]
    publish(ws, customers=people, transactions=sales)
    referrals.settle(later(ws, KEPT))
    assert verdicts(ws) == {
        "KF": "same_device",
        "KG": "same_device",
        "KH": "rewarded",
        "KI": "customer_already",
    }
