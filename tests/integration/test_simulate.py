"""A span of days over a home's real history, in a scratch home: the home is only read."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from flows.responses import Rates
from flows.scratch import Rules
from flows.simulate import MESSAGE, SQL, Question, SimulationReport, _asked, simulate
from tessera.caps import Cap
from tessera.errors import BadInput
from tessera.land import land
from tessera.settings import CHECKOUT
from tessera.shop import make_shop
from tessera.testing import workspace
from tessera.workspace import Workspace

FIRST, LAST = date(2025, 2, 26), date(2025, 2, 27)
ASKED = Question(FIRST, LAST, rates=Rates(0.9, 0.5, 0.1))
TESSERA = str(Path(sys.executable).with_name("tessera"))

TEXTS = {"campaign": "texts", "purpose": "marketing", "channel": "sms", "audience": "weekly_offers",
         "schedule": "0 9 * * *", "steps": [{"name": "hello", "template": "texts"}]}  # fmt: skip


def texting(folder: Path) -> Path:
    """The project with a template of text messages."""
    project = folder / "project"
    (project / "templates" / "texts").mkdir(parents=True)
    (project / "templates" / "texts" / "sms.txt").write_text("Hello from {{ shop.name }}")
    for path in (*CHECKOUT.glob("[def]*"), *CHECKOUT.glob("templates/*")):
        (project / path.relative_to(CHECKOUT)).symlink_to(path)
    return project


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home where 80 customers' receipts of 60 days, the last of them 2025-03-01, are landed."""
    folder = tmp_path_factory.mktemp("shop")
    made = folder / "files"
    make_shop(made, customers=80, days=60, seed=5, defect_share=0)
    ws = workspace(folder / "home", "2025-03-02")
    land(ws, "made_up_shop", made).raise_if_refused()
    return ws


@pytest.fixture(scope="module")
def found(shop: Workspace) -> SimulationReport:
    return simulate(shop, ASKED)


def content(ws: Workspace) -> dict[str, str]:
    with ws.store.read() as store:
        rows = {
            table: store.all(f"select * from {table}")
            for table in ("landed_file", "outbox", "consent", "suppression", "provider_event")
        }
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ws.home.root.rglob("*")
        if path.is_file() and "store.sqlite" not in path.name
    }
    return files | {name: hashlib.sha256(repr(rows[name]).encode()).hexdigest() for name in rows}


def untimed(found: dict[str, Any]) -> dict[str, Any]:
    days = [{**one, "seconds": 0} for one in found["days"]]
    return {**found, "days": days, "seconds": 0, "home": None}


def test_the_same_days_again_are_the_same_and_the_home_is_untouched(
    shop: Workspace, found: SimulationReport, tmp_path: Path
) -> None:
    before = content(shop)
    rates = [
        "--responses",
        "assumed",
        "--open-rate=0.9",
        "--click-rate=0.5",
        "--unsubscribe-rate=0.1",
    ]
    kept = tmp_path / "kept"
    again = json.loads(run("simulate", *span(shop), *rates, "--keep", str(kept), "--json").stdout)
    assert content(shop) == before
    assert untimed(again) == untimed(asdict(found))
    assert [one.date for one in found.days] == [str(FIRST), str(LAST)]
    assert (kept / "home" / "decisions" / f"date={LAST}").is_dir()


def test_every_candidate_has_a_reason_and_every_planned_message_is_sent_or_says_why(
    found: SimulationReport,
) -> None:
    for one in found.days:
        assert one.planned == sum(one.sent.values()) + one.not_sent
    reasons = [count for counts in found.reasons.values() for count in counts.values()]
    assert sum(reasons) == sum(one.candidates for one in found.days) > 0
    assert sum(sum(one.sent.values()) for one in found.days) > 0
    assert all(cap.held for cap in found.caps)
    assert found.responses_heard["open"] >= found.responses_heard["click"] > 0
    assert found.points_before > 0 < sum(one.points_earned for one in found.days)


def test_another_policy_and_other_campaigns_change_what_they_should(
    shop: Workspace, found: SimulationReport, tmp_path: Path
) -> None:
    policy = tmp_path / "none.yml"
    none = {"purpose": "marketing", "channel": "email", "max": 0, "days": 7}
    policy.write_text(yaml.safe_dump({"caps": [none], "throttle": {"per_minute": 1}}))
    folder = tmp_path / "campaigns"
    folder.mkdir()
    (folder / "winback.yml").symlink_to(CHECKOUT / "deployments" / "campaigns" / "winback.yml")
    (folder / "texts.yml").write_text(yaml.safe_dump(TEXTS))
    ws = replace(shop, settings=shop.settings.model_copy(update={"project": texting(tmp_path)}))
    quiet = simulate(ws, replace(ASKED, last=FIRST, rules=Rules(policy, folder)))
    assert found.days[0].planned > 0
    assert set(quiet.reasons) == {"texts", "winback"}
    assert set(quiet.reasons["winback"]) & {"planned"} == set()
    # Text messages are sent too, and nobody waits by the clock on the wall for the throttle.
    assert quiet.days[0].sent == {"texts": quiet.reasons["texts"]["planned"]}
    assert quiet.days[0].sent["texts"] > 2
    assert quiet.caps[0].max == quiet.caps[0].found == 0


def test_a_slip_of_the_pen_is_one_sentence(shop: Workspace, tmp_path: Path) -> None:
    keep = ("--keep", str(tmp_path))
    assert "is there already" in run("simulate", *span(shop), *keep, code=BadInput.exit_code).stderr
    backwards = ("--from", str(LAST), "--to", str(FIRST))
    assert "ends before it begins" in run("simulate", *backwards, code=BadInput.exit_code).stderr


def span(ws: Workspace) -> list[str]:
    return ["--from", str(FIRST), "--to", str(LAST), "--home", str(ws.home.root)]


def test_a_killed_simulation_leaves_nothing_but_its_scratch_folder(
    shop: Workspace, tmp_path: Path
) -> None:
    before = content(shop)
    process = subprocess.Popen(
        [TESSERA, "simulate", *span(shop)], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("tessera-simulate-*/home/store.sqlite")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert content(shop) == before
    assert [path.name.startswith("tessera-simulate-") for path in tmp_path.iterdir()] == [True]


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([TESSERA, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_a_cap_that_was_broken_would_be_seen() -> None:
    """The recount looks at any span, at households together, and at messages with a tag alone."""
    import pyarrow as pa

    def message(person: str, day: int, hour: int, tags: str = "offer,weekly") -> dict[str, str]:
        at = f"2026-03-{day:02}T{hour:02}:00:00+00:00"
        common = {"campaign": "c", "channel": "email", "purpose": "marketing", "tags": tags}
        who = {"customer_id": person, "household_id": "h"}
        return common | who | {"business_date": at[:10], "send_at": at}

    sent = [message("ann", 1, 9), message("ann", 8, 8), message("bob", 8, 9, tags="")]

    def most(**cap: Any) -> int:
        with duckdb.connect() as duck:
            duck.register("outbox", pa.Table.from_pylist(sent, MESSAGE))
            asked = _asked(Cap(purpose="marketing", max=1, **cap), date(2026, 3, 1))
            return int(duck.execute(SQL["most"], asked).fetchall()[0][0])

    assert most(days=7) == 2  # 167 hours apart
    assert most(hours=167) == 1
    assert most(days=7, per="household") == 2  # exactly 168 hours is outside
    assert most(days=8, per="household") == 3
    assert most(days=8, tag="offer") == 2
    assert most(days=8, tag="weekly") == 2
    assert most(days=8, tag="week") == 0
