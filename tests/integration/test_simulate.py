"""A span of days over a home's real history, in a scratch home: the home is only read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
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

from flows.responses import Rates, Recorded
from flows.scratch import Rules, open_scratch
from flows.simulate import MESSAGE, SQL, Question, SimulationReport, _asked, simulate
from tessera import redeemed
from tessera.caps import Cap
from tessera.decide.decisions import Question as Asked
from tessera.decide.decisions import find
from tessera.errors import BadInput
from tessera.land import land
from tessera.person.merge import merge
from tessera.settings import CHECKOUT
from tessera.shop import make_shop
from tessera.testing import workspace
from tessera.vouchers import codes, pool
from tessera.vouchers.terms import Terms
from tessera.workspace import Workspace
from tests.deciding import insert, on
from tests.sending import enqueue, outbox_row

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


def test_without_any_landed_file_there_is_nothing_to_go_through(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="say 'tessera land SOURCE PATH' first"):
        simulate(workspace(tmp_path / "home", "2025-03-02"), ASKED)


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
    rules = {"caps": [none], "throttle": {"per_minute": 1}, "approval_over": 0}
    policy.write_text(yaml.safe_dump(rules))
    folder = tmp_path / "campaigns"
    folder.mkdir()
    (folder / "winback.yml").symlink_to(CHECKOUT / "deployments" / "campaigns" / "winback.yml")
    (folder / "texts.yml").write_text(yaml.safe_dump(TEXTS))
    ws = replace(shop, settings=shop.settings.model_copy(update={"project": texting(tmp_path)}))
    quiet = simulate(ws, replace(ASKED, last=FIRST, rules=Rules(policy, folder)))
    assert found.days[0].planned > 0
    assert set(quiet.reasons) == {"texts", "winback"}
    assert set(quiet.reasons["winback"]) & {"planned"} == set()
    # Text messages are sent too, and nobody waits by the clock on the wall for the throttle, nor for
    # somebody's word.
    assert quiet.days[0].sent == {"texts": quiet.reasons["texts"]["planned"]}
    assert quiet.days[0].sent["texts"] > 2
    assert quiet.caps[0].max == quiet.caps[0].found == 0


def test_what_people_chose_and_who_is_one_person_counts_as_in_the_home(
    shop: Workspace, tmp_path: Path
) -> None:
    known, kept = tmp_path / "known", tmp_path / "kept"
    shutil.copytree(shop.home.root, known, symlinks=True)
    asked = replace(ASKED, rates=None)
    simulate(shop, asked, keep=tmp_path / "before")
    before = scratch(tmp_path / "before")
    declines, rests, is_other, stays = sorted(planned(before, "weekly_offers"))[:4]
    ws = workspace(known, "2025-03-02")
    insert(ws, "preference", customer_id=declines, name="topic:offers", value="no",
           recorded_at="2025-01-01T00:00:00+00:00")  # fmt: skip
    insert(ws, "preference", customer_id=rests, name="paused_until", value="2025-03-20",
           recorded_at=f"{FIRST}T12:00:00+00:00")  # fmt: skip
    merge(ws, stays, is_other)
    reached = tier_moves(before)
    for move in reached:
        insert(ws, "tier_move", **move | {"business_date": "2025-02-01"})
    simulate(ws, asked, keep=kept)
    found = scratch(kept)
    assert verdict(found, declines) == ("no_consent", "topic offers declined")
    assert verdict(found, rests) == ("suppressed", "paused until 2025-03-20")
    assert verdict(found, is_other) is None
    assert verdict(found, stays) is not None
    assert reached
    again = {move["customer_id"] for move in tier_moves(found)} - {stays}
    assert again.isdisjoint(move["customer_id"] for move in reached)
    others = {declines, rests, is_other, stays}
    # Nobody else loses; news of a tier take no slots.
    assert planned(found, "weekly_offers") - others >= planned(before, "weekly_offers") - others


def scratch(kept: Path) -> Workspace:
    return workspace(kept / "home", str(LAST))


def tier_moves(ws: Workspace) -> list[dict[str, Any]]:
    """Those of the first night."""
    with ws.store.read() as store:
        query = "select * from tier_move where business_date = :day order by customer_id, position"
        return [dict(row) for row in store.all(query, day=str(FIRST))]


def planned(ws: Workspace, campaign: str) -> set[str]:
    rows = find(ws.home, Asked(on=LAST, campaign=campaign, reason="planned"))
    return {row["customer_id"] for row in rows}


def verdict(ws: Workspace, customer: str) -> tuple[str, str] | None:
    rows = find(ws.home, Asked(on=LAST, campaign="weekly_offers", customer_id=customer))
    return (rows[0]["reason"], rows[0]["decided_by"]) if rows else None


def test_codes_that_went_out_before_the_first_day_are_known_and_who_has_used_theirs(
    tmp_path: Path,
) -> None:
    """A later step reminds of them, as it does in the home."""
    ws = workspace(tmp_path / "home", "2026-03-31")
    before = {"business_date": "2026-03-20", "state": "accepted"}
    greeted = enqueue(ws, *(outbox_row(one, step="greeting", **before) for one in ("ann", "ben")))
    day = date(2026, 3, 20)
    with ws.store.write() as store:
        made = codes.make(3)
        pool.add(store, "cake", Terms(), made, batch=None, at=ws.as_of, day=day)
    for key, code in zip([*greeted, "reward:of points"], made, strict=True):
        insert(ws, "reward_grant", send_key=key, reward="cake", code=code)
    used = {"redemption_id": "R", "store_id": "S1", "state": "used", "points": 0, "points_back": 0}
    insert(ws, "redemption", **used, paid=0, discount=500, at="2026-03-25T08:00:00+00:00")
    insert(ws, "redemption_member", redemption_id="R", customer_id="ben")
    insert(ws, "voucher_use", redemption_id="R", code=made[1], discount=500)
    found = open_scratch(ws, tmp_path / "scratch", Rules())
    later = enqueue(found, *(outbox_row(one) for one in ("ann", "ben")))
    told = pool.of_messages(found.store, later, found.business_date)
    assert {key: one["code"] for key, one in told.items()} == {later[0]: codes.spoken(made[0])}
    with found.store.read() as store:
        used_by = store.all(redeemed.latest())
    assert [row["customer_id"] for row in used_by] == ["ben"]


def test_recorded_responses_arrive_when_they_were_heard_also_of_earlier_messages(
    tmp_path: Path,
) -> None:
    ws = workspace(tmp_path / "home", "2025-03-01")
    enqueue(ws, *(outbox_row(who, business_date="2025-02-24", state="accepted") for who in "abc"))
    with ws.store.read() as store:
        keys = [row["send_key"] for row in store.all("select send_key from outbox order by 1")]
    heard = ("2025-02-25T09:00:00+00:00", "2025-02-26T07:00:00+00:00", "2025-02-28T00:00:00+00:00")
    for key, at in zip([*keys], heard, strict=True):
        insert(ws, "provider_event", event_key=f"open {key}", send_key=key, event="open",
               occurred_at="2025-02-24T12:00:00+00:00", received_at=at)  # fmt: skip
    insert(ws, "answer", send_key=keys[0], customer_id="a", score=9,
           answered_at="2025-02-26T07:00:00+00:00")  # fmt: skip
    insert(ws, "answer", send_key="another", customer_id="a", score=1,
           answered_at="2025-02-26T07:00:00+00:00")  # fmt: skip
    begun = open_scratch(on(ws, "2025-02-26"), tmp_path / "scratch", Rules())
    responses = Recorded.after(ws, begun)

    def known() -> tuple[int, int]:
        with begun.store.read() as store:
            events, answers = (
                f"select count(*) from {table}" for table in ("provider_event", "answer")
            )
            return store.scalar(events), store.scalar(answers)

    assert known() == (1, 0)
    assert [responses.arrive(on(begun, f"2025-02-{day}")) for day in (26, 27, 28)] == [0, 1, 1]
    assert known() == (3, 1)


def test_a_slip_of_the_pen_is_one_sentence(shop: Workspace, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is there already"):
        simulate(shop, ASKED, keep=tmp_path)
    with pytest.raises(BadInput, match="ends before it begins"):
        simulate(shop, replace(ASKED, first=LAST, last=FIRST))


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


def run(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([TESSERA, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
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
    sent.append({**message("ann", 8, 7), "purpose": "service"})  # which no cap is about
    before = {"business_date": "2026-02-01", "send_at": "2026-02-01T09:00:00+00:00"}
    sent += [{**message("ann", 1, 9), **before}] * 4  # the shop's own, not the simulation's

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
