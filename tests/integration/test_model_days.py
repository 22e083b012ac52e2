"""However the days come in, the marts are those of one build from scratch."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows import model
from tessera.errors import BadInput
from tessera.home import Home
from tessera.know.scores import score
from tessera.testing import workspace
from tessera.warehouse import marts, packs
from tessera.warehouse.inputs import Green, forget_warehouse
from tessera.workspace import Workspace
from tests.integration.model_home import line, validated

DAYS = [str(date(2026, 1, 1) + timedelta(days=9 * n)) for n in range(30)]  # with room for lapses
CARDS = [f"C{number}" for number in range(9)]
PEOPLE = [f"K{number}" for number in range(5)]


class Landings:
    """Files as days bring them: new lines, lines corrected in any way, cards that change hands,
    products that change category, and now and then a file that comes after later ones."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.chance = Home(home), random.Random(seed)
        self.free = list(range(1, 200))
        self.told: list[dict[str, Any]] = []

    def file_id(self) -> int:
        place = self.chance.choice([0, 0, 0, self.chance.randrange(10)])
        return self.free.pop(place)

    def land(self, feed: str, rows: list[dict[str, Any]]) -> None:
        validated(self.home, feed, self.file_id(), rows)

    def day(self) -> None:
        pick = self.chance.choice
        lines = [self.line(f"T{len(self.told)}-{n}") for n in range(12)]
        corrected = [
            self.corrected(old) for old in self.chance.sample(self.told, min(4, len(self.told)))
        ]
        self.land("transactions", lines + corrected)
        self.told += lines
        if self.chance.random() < 0.7:
            self.land("cards", [self.card(card) for card in self.chance.sample(CARDS, 3)])
        if self.chance.random() < 0.5:
            self.land("products", [self.product(name) for name in ("P1", "P2")])
        if self.chance.random() < 0.5:
            self.land(
                "customers", [{"customer_id": pick(PEOPLE), "email": pick(["a@b.example", None])}]
            )
        if self.chance.random() < 0.7:
            self.land("prospects", [self.prospect(name) for name in ("L1", "L2")])
            self.land("interactions", [self.interaction(len(self.told))])
        if self.chance.random() < 0.5:
            self.land("targets", [self.target("revenue"), self.target("active_customers")])

    def line(self, transaction_id: str, line_id: str = "1") -> dict[str, Any]:
        pick = self.chance.choice
        return line(
            transaction_id,
            pick([*CARDS, None]),
            line_id=line_id,
            sold_at=f"{pick(DAYS)} {pick(['08', '23'])}:30:00",
            store_id=pick(["S1", "S2"]),
            product_id=pick(["P1", "P2", "P3"]),
            amount=pick([100, 200, 300, -100]),
            discount=pick([0, 10]),
            salesperson_id=pick(["A1", "A2", None]),
            currency=pick(["EUR", "EUR", "EUR", "GBP"]),
        )

    def product(self, product_id: str) -> dict[str, Any]:
        pick = self.chance.choice
        sold_at = {"price": pick([100, 200, None]), "currency": "EUR", "unit_margin": pick([0, 30])}
        return {"product_id": product_id, "category": pick("AB"), **sold_at}

    def target(self, metric: str) -> dict[str, Any]:
        began = self.chance.choice(DAYS)
        ends = str(date.fromisoformat(began) + timedelta(days=self.chance.choice([8, 90])))
        whole = {"scope": "shop", "scope_id": "all", "target": self.chance.choice([1, 9])}
        return {"metric": metric, "period_start": began, "period_end": ends, **whole}

    def corrected(self, old: dict[str, Any]) -> dict[str, Any]:
        """The same line told again with another content, or another line of the same receipt."""
        return self.line(old["transaction_id"], self.chance.choice([old["line_id"], "2"]))

    def prospect(self, prospect_id: str) -> dict[str, Any]:
        email = self.chance.choice(["a@b.example", "c@d.example", None])
        created_at = f"{self.chance.choice(DAYS)} 12:00:00"
        return {"prospect_id": prospect_id, "email": email, "created_at": created_at}

    def interaction(self, number: int) -> dict[str, Any]:
        pick = self.chance.choice
        return {
            "interaction_id": f"I{number}",
            "customer_id": pick([*PEOPLE, None]),
            "prospect_id": pick(["L1", None]),
            "kind": pick(["complaint", "survey", "contact"]),
            "score": pick([3, 8, 10]),
            "status": pick(["open", "resolved"]),
            "occurred_at": f"{pick(DAYS)} 12:00:00",
        }

    def card(self, card_id: str) -> dict[str, Any]:
        follower = self.chance.choice([None, None, self.chance.choice(CARDS)])
        owner = self.chance.choice(PEOPLE)
        blocked_at = self.chance.choice([None, None, self.chance.choice(DAYS)])
        row = {"card_id": card_id, "customer_id": owner, "blocked_at": blocked_at}
        return {**row, "replaced_by_card_id": follower}


def consent(customer_id: str) -> dict[str, Any]:
    said = {"channel": "email", "purpose": "marketing", "granted": True}
    return {"customer_id": customer_id, "recorded_at": "2025-12-01 12:00:00", **said}


def prospect(prospect_id: str, created_at: str) -> dict[str, Any]:
    return {
        "prospect_id": prospect_id,
        "email": f"{prospect_id}@x.example",
        "created_at": created_at,
    }


# What a night may bring without one receipt, and what must be known of people after each.
SPOKEN: list[tuple[str, list[dict[str, Any]], set[str]]] = [
    ("consents", [consent("K0"), consent("prospect:L9")], {"K0"}),
    (
        "prospects",
        [prospect("L9", "2025-12-01 12:00:00"), prospect("L8", "2027-01-01 12:00:00")],
        {"K0", "prospect:L9"},
    ),
    (
        "person_merges",
        [{"customer_id": "K0", "into_customer_id": "K1", "is_in_force": True, "recorded_at": "2026-01-01 12:00:00"}],
        {"K1", "prospect:L9"},
    ),
]  # fmt: skip


def with_consent(ws: Workspace) -> set[str]:
    with marts.connect(ws.home) as db:
        found = db.execute("select customer_id from customers where has_email_consent").fetchall()
    return {name for (name,) in found}


def state(ws: Workspace) -> dict[str, list[Any]]:
    with marts.connect(ws.home) as db:
        names = [
            name
            for (name,) in db.execute(
                "select view_name from duckdb_views() where not internal"
            ).fetchall()
        ]
        lines = (
            "(from receipt_lines union all by name from packed_lines)"  # which is where may differ
        )
        found = {name: lines if name.endswith("_lines") else name for name in names}
        found["superseded_lines"] = "superseded_lines"
        return {
            name: db.execute(f"select * from {place} order by all").fetchall()
            for name, place in found.items()
        }


@pytest.mark.parametrize("seed", [1])
def test_days_in_any_order_are_as_one_build_from_scratch(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And small files that were put together as those that lie as they came."""
    monkeypatch.setattr(packs, "LOOSE", 1)
    days = random.Random(seed).sample(DAYS, 5)
    landings = Landings(tmp_path / "home", seed)
    for as_of in days:
        landings.day()
        ws = workspace(tmp_path / "home", as_of, timezone="America/New_York")
        report = model.build(ws)
        assert report.full_refresh == (as_of == days[0])
    for feed, rows, expected in SPOKEN:
        landings.land(feed, rows)
        assert not model.build(ws).full_refresh
        assert with_consent(ws) == expected
    by_days = state(ws)
    assert len(list(ws.home.marts.glob("*/packed_lines/*"))) > 1
    shutil.rmtree(ws.home.packs)
    monkeypatch.setattr(packs, "LOOSE", 99)
    model.build(ws, full_refresh=True)
    assert not list((ws.home.marts / marts.current(ws.home).name).glob("packed_lines"))
    assert by_days == state(ws)
    assert len(by_days["customers"]) >= len(PEOPLE)
    assert len(by_days["superseded_lines"]) > 2
    assert len(by_days["performance"]) > 5
    assert by_days["target_progress"]
    assert {level for _, level, *_ in by_days["relationship_transitions"]} >= {"new", "lapsed"}


def nights() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By as_of what a night lands. Those who only come again are A and, without a card of their own,
    `ANON`; what else may happen to receipts happens to the others, each the card of a letter."""

    def bought(number: str, card: str, day: str, **columns: Any) -> dict[str, Any]:
        return line(number, card, sold_at=f"{day} 17:00:00", **columns)

    cards = [{"card_id": card, "customer_id": f"K{card}"} for card in "ABCDEFG"]
    cards += [
        {
            "card_id": "A2",
            "customer_id": "KA",
            "issued_at": "2026-01-31",
            "blocked_at": "2026-03-15",
        }
    ]
    cards += [{"card_id": "H", "customer_id": "KH", "blocked_at": "2026-03-15"}]
    return {
        "2026-02-01": {
            "cards": cards,
            "customers": [{"customer_id": f"K{card}"} for card in "ABCDEFGH"],
            "products": [{"product_id": "P1", "category": "Tea"}, {"product_id": "P2", "category": "Bread"}],
            "transactions": [
                *(bought(f"{card}{day}", card, f"2026-01-{day}") for card in "ABCDEFG" for day in (10, 20, 30)),
                bought("N1", "ANON", "2026-01-09", product_id="P2"),
                bought("A40", "A", "2026-02-03"),  # counts from the next night on
                line("F40", "F", sold_at="2026-02-05 04:59:00"),  # over the end of its day
                line("F40", "F", line_id="2", sold_at="2026-02-05 05:01:00"),
            ],
        },
        "2026-02-05": {  # three were missed
            "transactions": [
                *(bought(number, "A", "2026-02-04", amount=250) for number in ("A41", "A42")),
                bought("A43", "A", "2026-02-09"),  # a till that is ahead
                bought("N2", "ANON", "2026-02-04"),
                bought("B10", "B", "2026-01-10", amount=130),  # told again
                bought("B41", "B", "2026-02-04"),
                bought("C41", "C", "2026-02-04", amount=-100, original_transaction_id="C30"),
                bought("D15", "D", "2026-01-15"),  # late
                bought("E41", "E", "2026-02-04", currency="GBP"),
                bought("H41", "H", "2026-02-04"),  # the first
            ],
            "person_merges": [
                {"customer_id": "KF", "into_customer_id": "KG", "is_in_force": True, "recorded_at": "2026-02-04 12:00:00"}
            ],
        },
        "2026-02-20": {
            "cards": [{"card_id": "C", "customer_id": "KC", "replaced_by_card_id": "C2"}, {"card_id": "C2", "customer_id": "KC"}],
            "products": [{"product_id": "P1", "category": "Coffee"}],
            "transactions": [
                *(bought(f"{card}50", card, "2026-02-19", store_id="S2") for card in ("ANON", *"ABDEFGH", "C2")),
                bought("E51", "E", "2026-02-19", currency="GBP"),
            ],
        },
        "2026-04-30": {"transactions": [bought("A60", "A", "2026-04-29")]},
    }  # fmt: skip


def gone_on_with(ws: Workspace) -> set[str]:
    with duckdb.connect(str(ws.home.warehouse), read_only=True) as db:
        found = db.execute("from int_touched_cards select customer_id where is_gone_on_with")
        return {name for (name,) in found.fetchall()}


def shown(ws: Workspace) -> list[str | None]:
    """The cards that KA, who has one that is never blocked, and KH show at the till."""
    with marts.connect(ws.home) as db:
        found = (
            "from customers select card_id where customer_id in ('KA', 'KH') order by customer_id"
        )
        return [card for (card,) in db.execute(found).fetchall()]


def usual(ws: Workspace) -> dict[str, str | None]:
    """The product that each customer likes best, which is learned after the build."""
    with marts.connect(ws.home) as db:
        return dict(
            db.execute("from customers select customer_id, favourite_product_id").fetchall()
        )


def test_adding_what_is_new_gives_what_adding_up_everything_does(tmp_path: Path) -> None:
    """And a card that is to be blocked is good until then, without another word of it. What was learned
    the night before stands until it is learned anew: who decided meanwhile found nothing known."""
    home, number, seen, cards = Home(tmp_path / "home"), 0, [], []
    for as_of, feeds in nights().items():
        for feed, rows in feeds.items():
            validated(home, feed, number := number + 1, rows)
        ws = workspace(home.root, as_of, timezone="America/New_York")
        model.build(ws)
        seen.append(gone_on_with(ws))
        cards.append(shown(ws))
        if number == len(feeds):  # the first night
            with suppress(BadInput):  # too little to foretell anything; of habits there is enough
                score(ws)
            learned = usual(ws)
        assert usual(ws).items() <= learned.items()
    assert learned["KA"] == "P1"
    assert cards == [["A", "H"], ["A", "H"], ["A", "H"], ["A", None]]
    assert not model.build(ws).built
    assert seen == [
        set(),
        {"KA", "KC", "KD", "KE", "KH", "ANON"},
        {"KA", "KB", "KD", "KE", "KG", "KH", "ANON"},
        {"KA"},
    ]
    by_nights = state(ws)
    model.build(ws, full_refresh=True)
    assert by_nights == state(ws)


@contextmanager
def cut_short(home: Home) -> Iterator[None]:
    os.truncate(home.warehouse, home.warehouse.stat().st_size // 2)
    yield


@contextmanager
def newer(home: Home) -> Iterator[None]:
    """As a later DuckDB writes it."""
    found = bytearray(home.warehouse.read_bytes())
    found[found.index(b"DUCK") + 4] = 200
    home.warehouse.write_bytes(found)
    yield


@contextmanager
def open_elsewhere(home: Home) -> Iterator[None]:
    code = f"import duckdb; c = duckdb.connect({str(home.warehouse)!r}, read_only=True); print(flush=True); input()"
    reader = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout
    reader.stdout.readline()
    yield
    reader.communicate(b"\n")
    assert reader.returncode == 0


def test_a_warehouse_that_is_not_as_it_was_left_is_made_anew(tmp_path: Path) -> None:
    """Cut short, of another version, of a later build than the record says, or open at somebody's desk: the
    day goes on."""
    home, records = Home(tmp_path / "home"), []

    @contextmanager
    def later(home: Home) -> Iterator[None]:
        """As in a copy that was taken while a build ran: the new receipts count already."""
        Green.path(home).write_bytes(records[-2])
        yield

    days = [*nights().items(), ("2026-05-01", {})]
    found = [nullcontext, cut_short, newer, later, open_elsewhere]
    for number, ((as_of, feeds), as_found) in enumerate(zip(days, found, strict=True)):
        for place, (feed, rows) in enumerate(feeds.items()):
            validated(home, feed, 10 * number + place, rows)
        ws = workspace(home.root, as_of)
        with as_found(home):
            assert model.build(ws).full_refresh, as_found
        records.append(Green.path(home).read_bytes())
    made_anew = state(ws)
    model.build(ws, full_refresh=True)
    assert state(ws) == made_anew


def test_a_warehouse_that_lies_on_another_disk_goes_from_there_and_comes_back_there(
    tmp_path: Path,
) -> None:
    home, elsewhere = Home(tmp_path / "home"), tmp_path / "disk" / "large.duckdb"
    for folder in (home.root, elsewhere.parent):
        folder.mkdir()
    home.warehouse.symlink_to(elsewhere)
    duckdb.connect(str(home.warehouse)).close()
    forget_warehouse(home)
    assert not elsewhere.exists()
    duckdb.connect(str(home.warehouse)).close()
    assert elsewhere.exists()


def test_a_home_that_was_copied_reads_its_own_files(tmp_path: Path) -> None:
    """What the warehouse says of files it says by their whole path, and the first home is still there."""
    first, second = (list(feeds.items()) for feeds in list(nights().values())[:2])
    for number, (feed, rows) in enumerate(first):
        validated(Home(tmp_path / "home"), feed, number, rows)
    model.build(workspace(tmp_path / "home", "2026-02-01"))
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    (transactions,) = [rows for feed, rows in second if feed == "transactions"]
    validated(Home(tmp_path / "copy"), "transactions", 10, transactions)
    ws = workspace(tmp_path / "copy", "2026-02-05")
    report = model.build(ws)
    found = state(ws)
    assert report.lines == len(found["transactions"])
    model.build(ws, full_refresh=True)
    assert state(ws) == found
