"""The report page in a real browser: nothing fetched, nothing broken, nothing cut off."""

from __future__ import annotations

from typing import Any

import pytest

from tessera.report import report
from tessera.testing import line, publish, workspace
from tessera.workspace import Workspace

DAYS = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in (3, 14, 28)]


@pytest.fixture
def shown(tmp_path: Any) -> Workspace:
    ws = workspace(tmp_path / "home")
    lines = [line(f"t{n}", "c", 100 * n, sold_at=day) for n, day in enumerate(DAYS, 1)]
    publish(ws, transactions=lines, customers=[{"customer_id": "c"}])
    return ws


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
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.close()
