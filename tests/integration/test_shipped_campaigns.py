"""The campaigns that ship: who becomes a candidate on which day, who does not, and how paths go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tessera import say
from tessera.decide import campaigns, decide
from tessera.decide.decisions import Question, find
from tessera.say.customers import Customers
from tessera.say.fields import VOUCHER
from tessera.send.writing import Writer
from tessera.settings import CHECKOUT
from tessera.testing import publish, workspace
from tessera.vouchers import codes
from tessera.workspace import Workspace
from tests.decide_model import bucket
from tests.deciding import insert

DAY = date(2026, 3, 31)  # a Tuesday
Rows = list[dict[str, Any]]
CAMPAIGNS = {one.campaign: one for one in campaigns.load(CHECKOUT)}
AUDIENCES = sorted({one.audience for one in CAMPAIGNS.values() if one.audience})


def people_of(campaign: str = "") -> Iterator[str]:
    """Names of people in no control group, so that silence means a rule."""
    for number in range(10_000):
        name = f"c{number}"
        if bucket("*", name) >= 200 and bucket(campaign, name) >= 1000:
            yield name


@dataclass
class Shop:
    """A shop with the shipped rules, one campaign at a time, as its days go by."""

    ws: Workspace
    campaign: str
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: Rows = field(default_factory=list)
    audience: dict[str, dict[str, Any]] = field(default_factory=dict)
    audiences: dict[str, Rows] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    names: Iterator[str] = field(default_factory=people_of)

    def person(self, **columns: Any) -> str:
        """A new customer, who said yes to marketing."""
        name = next(self.names)
        self.customers[name] = {"customer_id": name, "email": f"{name}@shop.example", **columns}
        return name

    def event(self, name: str, event: str, on: date = DAY, occurrence: str = "first") -> None:
        self.events.append(
            {"customer_id": name, "event": event, "occurrence": occurrence, "occurred_on": on}
        )

    def joins(self, name: str, on: date = DAY, occurrence: str = "first") -> None:
        """Comes into the campaign's audience."""
        self.audience[name] = {
            "customer_id": name, "occurrence": occurrence, "entered_on": on, "expected_value": 0,
        }  # fmt: skip

    def reads(self, name: str, step: str, event: str = "open") -> None:
        """Opens (or clicks) what was sent, the same evening."""
        with self.ws.store.write() as store:
            sent = store.all(
                "select send_key, send_at from outbox "
                "where customer_id = :name and step = :step order by send_at desc",
                name=name, step=step,
            )[0]  # fmt: skip
            row = {
                "event_key": f"{sent['send_key']} {event}", "send_key": sent["send_key"], "event": event,
                "occurred_at": sent["send_at"], "received_at": sent["send_at"],
            }  # fmt: skip
            store.insert_new("provider_event", pa.Table.from_pylist([row]))

    def at(self, day: int) -> dict[str, str]:
        """The pass so many days after the first."""
        return self.on(DAY + timedelta(days=day))

    def on(self, day: date) -> dict[str, str]:
        """The day's pass: each candidate's step if it is planned, else the reason."""
        ws = replace(self.ws, as_of=datetime(day.year, day.month, day.day, tzinfo=UTC))
        object.__setattr__(ws, "store", self.ws.store)
        publish(ws, **self._marts(day))
        decide(ws, [self.campaign] if self.campaign else None)
        rows = find(ws.home, Question(on=day, campaign=self.campaign or None))
        said: dict[str, str] = {}
        for row in rows:  # of several steps that may be next, the one that is
            said.setdefault(row["customer_id"], row["reason"])
            if row["reason"] == "planned":
                said[row["customer_id"]] = row["step"]
        return said

    def _marts(self, day: date) -> dict[str, Rows]:
        yes = {"channel": "email", "purpose": "marketing", "recorded_at": noon(-90)}
        marts: dict[str, Rows] = {
            "customers": list(self.customers.values()),
            "customer_events": [one for one in self.events if one["occurred_on"] <= day],
            "consents": [
                {**yes, "customer_id": name, "granted": name not in self.refused}
                for name in self.customers
            ],
            **{f"audience_{name}": [] for name in AUDIENCES},
            **self.audiences,
        }
        if self.campaign and (audience := CAMPAIGNS[self.campaign].audience):
            marts[f"audience_{audience}"] = list(self.audience.values())
        return marts


def noon(day: int) -> datetime:
    """So many days after the first, UTC."""
    return datetime(DAY.year, DAY.month, DAY.day, 12) + timedelta(days=day)  # noqa: DTZ001 - as marts have it


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Shop]]:
    """Open the shop of a campaign."""
    ws = workspace(tmp_path / "home")
    yield lambda campaign: Shop(ws, campaign, names=people_of(campaign))
    ws.store.close()


Opened = Callable[[str], Shop]


def test_each_of_the_campaigns_is_shipped_with_its_deployment_and_goal() -> None:
    assert list(CAMPAIGNS) == [
        "anniversary", "birthday", "complaint_received", "complaint_settled", "points_expiring",
        "prospects", "referral", "replenishment", "satisfaction", "second_purchase", "tier_news",
        "weekly_offers", "welcome", "winback",
    ]  # fmt: skip
    for one in CAMPAIGNS.values():
        assert one.goal or one.purpose == "service" or one.campaign in ("satisfaction", "referral")


def test_every_template_is_some_campaigns() -> None:
    used = {template for one in CAMPAIGNS.values() for _, template in one.templates()}
    there = {
        str(path.parent.relative_to(CHECKOUT / "templates"))
        for path in (CHECKOUT / "templates").rglob("subject.txt")
    }
    assert used == there - {"signup/confirm"}  # which the sign-up page sends


def test_who_joins_is_welcomed_and_shown_around_by_what_they_did(opened: Opened) -> None:
    shop = opened("welcome")
    reader, silent, buyer = (shop.person() for _ in range(3))
    for name in (reader, silent, buyer):
        shop.joins(name)
    assert shop.at(0) == dict.fromkeys((reader, silent, buyer), "hello")
    assert set(shop.at(2).values()) == {"not_due"}
    shop.customers[buyer]["last_purchase_at"] = noon(2)
    assert set(shop.at(3).values()) == {"points"}
    shop.reads(reader, "points", "click")
    assert shop.at(7) == {
        reader: "shelves",
        silent: "condition_not_met",
        buyer: "condition_not_met",
    }
    assert shop.at(8)[silent] == "visit"
    assert shop.at(9)[reader] != "visit"


def test_the_first_purchase_leads_to_the_second_by_what_became_of_each_letter(
    opened: Opened,
) -> None:
    shop = opened("second_purchase")
    people = [shop.person(receipts=1, revenue=900) for _ in range(5)]
    reader, silent, buyer, regular, returned = people
    shop.customers[regular]["receipts"] = 2
    shop.customers[returned]["revenue"] = 0
    for name in people:
        shop.event(name, "first_purchase")
        shop.customers[name]["last_purchase_at"] = noon(0)
    assert shop.at(0) == dict.fromkeys((reader, silent, buyer), "not_due")  # not the others
    assert shop.at(1) == dict.fromkeys((reader, silent, buyer), "thanks")
    shop.reads(reader, "thanks")
    shop.customers[buyer] |= {"receipts": 2, "last_purchase_at": noon(4)}
    assert shop.at(7) == {reader: "companions", silent: "condition_not_met", buyer: "exited"}
    assert shop.at(8)[silent] == "points"
    shop.reads(silent, "points", "click")
    assert shop.at(21)[reader] == "reminder"
    assert "reminder" not in shop.at(22).values()  # who clicked has seen it, who bought is through


def test_birthdays_are_kept_on_the_day_and_leap_days_on_the_28th(opened: Opened) -> None:
    shop = opened("birthday")
    today = shop.person(birth_date=date(1990, 3, 31))
    shop.person(birth_date=date(1990, 4, 1))
    shop.person()
    leap = shop.person(birth_date=date(2000, 2, 29))
    assert shop.at(0) == {today: "greeting"}
    assert shop.at(1)[today] == "not_due"  # the reminder
    assert shop.on(date(2027, 2, 28)) == {leap: "greeting"}
    assert shop.on(date(2027, 3, 1)) == {leap: "not_due"}
    assert shop.on(date(2028, 2, 28)) == {}
    assert shop.on(date(2028, 2, 29)) == {
        leap: "greeting"
    }  # every year, though the words are the same


def letters(shop: Shop) -> dict[str, Any]:
    """What each customer's last message says, by customer."""
    with shop.ws.store.read() as store:
        rows = store.all("select * from outbox order by message_id")
    people = Customers(shop.ws).read([row["customer_id"] for row in rows])
    written = Writer(shop.ws, "email").letters(rows, people)
    return {one.row["customer_id"]: one.message.content for one in written}


def test_a_birthday_brings_a_code_of_ones_own_that_the_letter_shows(opened: Opened) -> None:
    shop = opened("birthday")
    spoken = ["en", "de", "el", "fa", "lv", "ru"]
    people = [shop.person(birth_date=date(1990, 3, 31), language=one) for one in spoken]
    assert shop.at(0) == dict.fromkeys(people, "greeting")
    with shop.ws.store.read() as store:
        vouchers = store.all("select customer_id, code, reward, valid_until from voucher")
    codes_of = {row["customer_id"]: codes.spoken(row["code"]) for row in vouchers}
    assert len(set(codes_of.values())) == len(people)
    assert {(row["reward"], row["valid_until"]) for row in vouchers} == {
        ("birthday-present", "2026-04-13")
    }
    found = letters(shop)
    for name, language in zip(people, spoken, strict=True):
        assert codes_of[name] in found[name].html
        assert codes_of[name] in found[name].text
        page = say.preview(shop.ws, "birthday/greeting", language=language)
        assert VOUCHER["code"] in page.read_text(encoding="utf-8")  # a preview takes no code
    with shop.ws.store.read() as store:
        assert store.scalar("select count(*) from voucher") == len(people)
    leave(shop)
    used = people.pop()
    use(shop, codes.tidy(codes_of.pop(used)))
    assert set(shop.at(9).values()) == {"not_due"}
    assert shop.at(10) == {used: "condition_not_met", **dict.fromkeys(people, "reminder")}
    told = letters(shop)
    for name, language in zip(people, spoken, strict=False):
        assert told[name].subject != found[name].subject
        assert codes_of[name] in told[name].html
        assert codes_of[name] in told[name].text
        page = say.preview(shop.ws, "birthday/reminder", language=language)
        assert VOUCHER["code"] in page.read_text(encoding="utf-8")


def test_no_one_is_reminded_of_a_code_that_is_over(opened: Opened) -> None:
    """After days down; nor is the next birthday kept from anybody by having been reminded."""
    shop = opened("birthday")
    name = shop.person(birth_date=date(1990, 3, 31))
    assert shop.at(0) == {name: "greeting"}
    leave(shop)
    assert shop.at(13) == {name: "reminder"}  # on the code's last day
    assert shop.on(date(2027, 3, 31)) == {name: "greeting"}
    leave(shop)
    assert shop.on(date(2027, 4, 14)) == {}


def leave(shop: Shop) -> None:
    """Everything that was planned goes out."""
    with shop.ws.store.write() as store:
        store.run("update outbox set state = 'accepted' where state = 'ready'")


def use(shop: Shop, code: str) -> None:
    """A till takes a code the day after, without a card."""
    spent = {"points": 0, "paid": 0, "discount": 5, "at": f"{noon(1)}+00:00", "state": "used"}
    insert(shop.ws, "redemption", redemption_id="r", store_id="s", **spent)
    insert(shop.ws, "voucher_use", redemption_id="r", code=code, discount=5)


def test_regulars_are_thanked_on_the_anniversary_of_their_first_purchase(opened: Opened) -> None:
    shop = opened("anniversary")
    bought = {"first_purchase_on": date(2024, 3, 31)}
    regular = shop.person(**bought, relationship_level="active")
    shop.person(**bought, relationship_level="lapsed")
    shop.person(first_purchase_on=DAY, relationship_level="active")  # today is no anniversary
    shop.person(first_purchase_on=date(2024, 4, 2), relationship_level="active")
    late = shop.person(first_purchase_on=date(2024, 3, 29), relationship_level="active")
    assert shop.at(0) == {regular: "thanks", late: "thanks"}
    assert shop.on(date(2027, 3, 31))[regular] == "thanks"


def test_who_lapsed_hears_three_times_unless_they_come_or_look(opened: Opened) -> None:
    shop = opened("winback")
    silent, reader, back, once = (
        shop.person(receipts=receipts, last_purchase_at=noon(-60)) for receipts in (5, 5, 5, 1)
    )
    coming = shop.person(receipts=5, last_purchase_at=noon(-60), churn_risk="low")
    shop.customers[silent]["churn_risk"] = "high"  # of the others nothing is known
    for name in (silent, reader, back, once, coming):
        shop.joins(name, occurrence="2026-01-30")
    assert shop.at(0) == dict.fromkeys((silent, reader, back), "reminder")
    shop.reads(reader, "reminder", "click")
    shop.customers[back]["last_purchase_at"] = noon(5)
    del shop.audience[back]  # who has bought is silent no more
    assert shop.at(14) == {silent: "news", reader: "news", back: "exited"}
    assert shop.at(44) == {silent: "farewell", reader: "condition_not_met", back: "exited"}
    shop.joins(silent, occurrence="2026-05-30")
    assert shop.at(120)[silent] == "re_entry"
    assert shop.at(140)[silent] == "reminder"


def test_points_are_told_of_while_there_is_time_to_spend_them(opened: Opened) -> None:
    shop = opened("points_expiring")
    rich, poor, late = (shop.person(points_expiring=points) for points in (300, 5, 300))
    shop.event(rich, "points_expiring", occurrence="2026-04-14")
    shop.event(poor, "points_expiring", occurrence="2026-04-14")
    shop.event(late, "points_expiring", DAY - timedelta(days=11), "2026-04-03")
    shop.customers[rich]["language"] = "ru"
    shop.customers[rich]["points_expire_on"] = date(2026, 4, 14)
    assert shop.at(0) == {rich: "reminder"}
    assert "\u202fг.\n" in letters(shop)[rich].text  # the date ends the sentence itself
    assert shop.at(1) == {rich: "re_entry"}


def test_who_moved_up_hears_of_it_each_time(opened: Opened) -> None:
    shop = opened("tier_news")
    silver = {"tier": "silver", "next_tier": "gold", "points_to_next_tier": 340}
    raised, fallen = shop.person(**silver), shop.person(tier="basic")
    shop.event(raised, "tier_raised", occurrence="silver 2026-03-31")
    shop.event(fallen, "tier_raised", occurrence="silver 2026-03-30")
    shop.event(shop.person(tier="silver"), "tier_changed")
    assert shop.at(0) == {raised: "raised"}
    assert "340 more points make it gold." in letters(shop)[raised].text
    shop.customers[raised] |= {"tier": "gold", "next_tier": None, "points_to_next_tier": None}
    shop.event(raised, "tier_raised", DAY + timedelta(days=20), "gold 2026-04-20")
    assert shop.at(20) == {raised: "raised"}
    assert "make it gold" not in letters(shop)[raised].text


def test_a_due_purchase_is_recalled_once_a_month_at_most(opened: Opened) -> None:
    shop = opened("replenishment")
    name = shop.person()
    shop.joins(name, occurrence="2026-03-17")
    assert shop.at(0) == {name: "due"}
    shop.joins(name, occurrence="2026-04-05")
    assert shop.at(19) == {name: "re_entry"}
    assert shop.at(30) == {name: "due"}


def test_prospects_are_courted_in_the_nurture_rhythm_until_they_buy(opened: Opened) -> None:
    shop = opened("prospects")
    keen, customer = shop.person(), shop.person()
    shop.joins(keen)
    shop.joins(customer)
    assert shop.at(0) == {keen: "meet", customer: "meet"}
    assert shop.at(2) == {keen: "card", customer: "card"}
    del shop.audience[customer]
    assert shop.at(5) == {keen: "shelves", customer: "exited"}
    assert shop.at(12) == {keen: "visit", customer: "exited"}


def test_the_letters_of_the_week_take_turns(opened: Opened) -> None:
    shop = opened("weekly_offers")
    names = [shop.person() for _ in range(6)]
    got: dict[str, list[str]] = {name: [] for name in names}
    for week in range(4):
        thursday = DAY + timedelta(days=2 + 7 * week)
        for name in names:
            shop.joins(name, thursday, occurrence=f"week {week}")
        assert set(shop.on(thursday).values()) == {"offers"}
        for row in find(shop.ws.home, Question(on=thursday)):
            got[row["customer_id"]].append(row["variant"])
    assert all(a != b for said in got.values() for a, b in pairwise(said))
    assert {said[0] for said in got.values()} == {"picks", "shelf"}


def test_who_would_not_recommend_us_is_asked_what_to_do_better(opened: Opened) -> None:
    shop = opened("satisfaction")
    promoter, critic, silent, before = (shop.person() for _ in range(4))
    for name in (promoter, critic, silent, before):
        shop.event(name, "milestone_visit", occurrence="visit 10")
    shop.customers[before] |= {"satisfaction_score": 3, "satisfaction_at": noon(-9)}
    assert set(shop.at(0).values()) == {"not_due"}
    assert shop.at(1) == dict.fromkeys((promoter, critic, silent, before), "question")
    shop.customers[promoter] |= {"satisfaction_score": 10, "satisfaction_at": noon(3)}
    shop.customers[critic] |= {"satisfaction_score": 6, "satisfaction_at": noon(3)}
    none = dict.fromkeys((promoter, silent, before), "condition_not_met")
    assert shop.at(4) == {critic: "better", **none}
    for name in (critic, silent):
        shop.event(name, "milestone_visit", DAY + timedelta(days=30), "visit 25")
    assert set(shop.at(31).values()) == {"re_entry"}  # not asked again so soon


def test_only_who_recommends_us_is_asked_to(opened: Opened) -> None:
    shop = opened("referral")
    promoter = shop.person()
    shop.person()
    shop.joins(promoter, occurrence="2026")
    assert shop.at(0) == {promoter: "not_due"}  # the answer came today
    assert shop.at(2) == {promoter: "invitation"}
    shop.joins(promoter, DAY + timedelta(days=275), "2027")
    assert shop.at(280) == {promoter: "re_entry"}


def test_who_complains_hears_that_it_is_in_hand_without_any_consent(opened: Opened) -> None:
    shop = opened("complaint_received")
    angry, settled = (shop.person(has_complaint_open=is_open) for is_open in (True, False))
    for name in (angry, settled):
        shop.event(name, "complaint_opened", occurrence=f"I{name}")
    shop.refused = {angry}
    assert shop.at(0) == {angry: "received"}
    assert shop.at(1) == {angry: "re_entry"}
    shop.event(angry, "complaint_opened", DAY + timedelta(days=9), "I9")
    assert shop.at(9) == {angry: "received"}  # every complaint gets its answer


def test_who_complained_is_asked_once_it_is_settled(opened: Opened) -> None:
    shop = opened("complaint_settled")
    calm, still = (shop.person(has_complaint_open=is_open) for is_open in (False, True))
    for name in (calm, still):
        shop.event(name, "complaint_resolved", DAY - timedelta(days=20), occurrence=f"I{name}")
    assert shop.at(0) == {calm: "settled"}  # not while another one is open
    shop.customers[still]["has_complaint_open"] = False
    assert shop.at(3) == {calm: "re_entry", still: "settled"}


def test_under_the_shipped_policy_nobody_hears_too_often(tmp_path: Path) -> None:
    """All campaigns at once, everybody in all of them."""
    ws = workspace(tmp_path / "home")
    shop = Shop(ws, "", names=people_of())
    names = [
        shop.person(receipts=5, points_expiring=90, tier="gold", household_id="h") for _ in range(3)
    ]
    shop.customers["single"] = {
        **shop.customers[names[0]],
        "customer_id": "single",
        "household_id": None,
    }
    events = ("first_purchase", "milestone_visit", "points_expiring", "tier_raised")
    for day in (0, 1, 2, 5, 8):
        for name in shop.customers:
            for event in events:
                shop.event(name, event, DAY + timedelta(days=day), f"{event} {day}")
        for audience in (
            "welcome",
            "lapsed_members",
            "replenishment_due",
            "weekly_offers",
            "promoters",
            "prospects",
        ):
            shop.audiences[f"audience_{audience}"] = [
                {"customer_id": name, "occurrence": str(day), "entered_on": DAY + timedelta(days=day), "expected_value": 0}
                for name in shop.customers
            ]  # fmt: skip
        shop.at(day)
    with ws.store.read() as store:
        sent = [
            (row["customer_id"], row["household_id"], datetime.fromisoformat(row["send_at"]))
            for row in store.all("select * from outbox where state = 'ready'")
        ]
    assert len(sent) > 10
    for owner, most, days in [(0, 1, 0.8), (0, 3, 7), (0, 8, 30), (1, 5, 7)]:
        for one in sent:
            within = [
                x
                for x in sent
                if x[owner]
                and x[owner] == one[owner]
                and timedelta() <= x[2] - one[2] < timedelta(days=days)
            ]
            assert len(within) <= most
    ws.store.close()
