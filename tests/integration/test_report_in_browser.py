"""The report page in a real browser: nothing fetched, nothing broken, nothing cut off."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tessera.report import report
from tessera.report.liability import section
from tessera.testing import line, publish, workspace
from tessera.warehouse import marts
from tessera.workspace import Workspace
from tests.unit.test_report import campaign, decide, judged, past

DAYS = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in (3, 14, 28)]


@pytest.fixture
def shown(tmp_path: Any) -> Workspace:
    ws = workspace(tmp_path / "home")
    lines = [line(f"t{n}", "c", 100 * n, sold_at=day) for n, day in enumerate(DAYS, 1)]
    publish(ws, transactions=lines, customers=[{"customer_id": "c"}], **reporting())
    judged(ws, campaigns=[campaign()], past=[past()])
    return ws


def reporting() -> dict[str, Any]:
    """A row or more for every section."""
    target = {"metric": "new_customers", "scope": "category", "scope_id": "Fruit and vegetables"}
    ends = {"period_start": date(2026, 3, 1), "period_end": date(2026, 3, 31)}
    aim = {"target": 90, "actual": 20, "projected": 41, "status": "out of reach"}
    money = {"currency": "EUR", "revenue": 1_234_567, "margin": 456_789}
    return {
        "target_progress": [target | ends | aim],
        "funnel": [{"place": 4, "level": "active", "people": 9, "people_ever": 12}],
        "level_moves": [{"week_on": date(2026, 3, 23), "level": "new", "moves": 3}],
        "cohorts": [
            {"cohort_on": date(2025, 4, 1), "months_since": n, "customers": 9, "active": 9 - n}
            for n in range(9)
        ],
        "sources": [money | {"acquisition_source": "leaflet", "people": 1, "customers": 1}],
        **liability(),
        "performance": [money | {"scope": "store", "scope_id": "S1", "revenue_before": 999}],
    }


def liability() -> dict[str, Any]:
    """Of a large programme."""
    month, many = date(2026, 2, 1), 123_456_789
    moved = dict.fromkeys(("issued", "redeemed", "expired", "clawed_back", "outstanding"), many)
    became = dict.fromkeys(("points", "spent", "ended", "taken_back", "remaining"), many)
    return {
        "liability_by_month": [{"month": month, "liability": many} | moved],
        "liability_by_expiry": [{"expires_in": month, "points": many + 7}],
        "liability_by_cohort": [{"earned_in": month} | became],
        "deferral_by_month": [{"month": month, "currency": "EUR", "sales": many, "deferred": 99}],
    }


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light")])
def test_the_page_is_whole(browser: Any, shown: Workspace, width: int, scheme: str) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    told: list[str] = []
    tab.on("console", lambda message: told.append(message.text))
    tab.on("pageerror", lambda error: told.append(str(error)))
    tab.on("request", lambda request: told.append(request.url))
    page = f"file://{report(shown).page}"
    tab.goto(page)
    assert told == [page]
    assert tab.locator("svg rect").count() >= len(DAYS)
    assert tab.locator(".interval .mean").count() == tab.locator(".plan .ends").count() == 1
    assert "This is selection" in tab.inner_text("main")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.close()


def test_a_long_name_does_not_widen_a_phones_page(browser: Any, shown: Workspace) -> None:
    name = "a_rather_long_name_of_the_weekly_offers_for_spring_and_summer"
    marts = reporting()
    marts["performance"][0]["name"] = "Donaudampfschifffahrtsgesellschaft" * 5
    publish(shown, transactions=[line("t", "c", 100)], customers=[{"customer_id": "c"}], **marts)
    judged(shown, campaigns=[campaign() | {"campaign": name}], past=[])
    decide(shown, (name, "planned", 149), day=str(shown.business_date))
    tab = browser.new_page(viewport={"width": 360, "height": 800})
    tab.goto(f"file://{report(shown).page}")
    assert tab.locator("caption", has_text=name).count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.close()


def test_the_page_says_what_members_owe(shown: Workspace) -> None:
    """By months there is more outstanding than in all, by what is owed."""
    page = " ".join(Path(report(shown).page).read_text(encoding="utf-8").split())
    assert "123,456,789 points are outstanding, worth €1,234,567.89" in page
    rows = liability()
    rows["liability_by_month"][0] |= {"liability": 100, "currency": "GBP"}
    publish(shown, **rows)
    assert "worth €" not in (pounds := section(marts.connect(shown.home), "EUR"))
    assert "worth £1.00" in " ".join(pounds.split()), "the programme's currency, not the shop's"
    assert "Members owe 7 points, which are taken off what is outstanding." in page


def test_no_table_is_cut_off_on_paper(browser: Any, shown: Workspace) -> None:
    tab = browser.new_page(viewport={"width": 700, "height": 1000})  # A4 between its margins
    tab.emulate_media(media="print")
    tab.goto(f"file://{report(shown).page}")
    fits = (
        "[...document.querySelectorAll('.wide')].every(it => it.scrollWidth <= it.clientWidth + 1)"
    )
    assert tab.evaluate(fits)
    tab.close()
