"""A campaign that is held shows as such in Prefect; one that is paused there rests."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from tessera import clock
from tessera.decide import decide as stage
from tessera.decide.decisions import Question, find
from tessera.send.lifeline import Lifeline
from tessera.warehouse import red
from tessera.workspace import Workspace
from tests.integration.test_decide import HELLO, people, workspace, write

WEEKLY = {**HELLO, "campaign": "weekly"}
THURSDAY = "2026-03-26T09:00:00+00:00"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Two campaigns for everybody, with a deployment each, and one customer."""
    project = tmp_path / "project"
    write(project, {"caps": None}, {**HELLO, "content_repeat": "allow"}, WEEKLY)
    (project / "flows").symlink_to(Path(__file__).parents[2] / "flows")
    (project / "deployments" / "prefect.yaml").write_text(
        yaml.safe_dump(
            {"name": "tessera", "deployments": [deployment("hello"), deployment("weekly")]}
        )
    )
    before = dict(os.environ)
    monkeypatch.setenv("TESSERA_PROJECT", str(project))
    ws = workspace(tmp_path / "home", project=project)
    people(ws, "ann")
    yield ws
    ws.store.close()
    os.environ.clear()
    os.environ.update(before)


def deployment(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "entrypoint": "flows/decide.py:decide",
        "tags": ["campaign", name],
        "parameters": {"campaign": name},
        "schedules": [{"cron": "0 9 * * *", "timezone": "UTC"}],
        "work_pool": {"name": "tessera"},
    }


# Prefect leaves its heartbeat's coroutines to the garbage collector when a flow ends in a state of ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_without_any_campaign_a_pass_is_empty(shop: Workspace) -> None:
    assert stage(shop, []).candidates == 0


def test_paused_campaigns_rest_and_held_ones_say_why(shop: Workspace) -> None:
    from flows import server, up
    from flows.decide import decide
    from flows.runtime import connected

    day = {"as_of": "2026-03-31", "home": str(shop.home.root)}
    with server.serving(shop, say=print) as api, connected(api), up._client(api) as client:
        up._make_pool(client, ours=True)
        up._deploy(shop, api, client)
        (weekly,) = [one for one in up._deployments(client) if one["name"] == "weekly"]
        client.post(f"/deployments/{weekly['id']}/pause_deployment").raise_for_status()
        up._deploy(shop, api, client)  # as the next `tessera up` does

        found = decide(**day)
        assert found["held"] == {"weekly": "paused in Prefect"}
        assert {row["campaign"] for row in find(shop.home, Question())} == {"hello"}
        assert decide(campaign="weekly", dry_run=True, **day)["planned"] == 1  # by hand it runs
        typed_by_hand_it_is_the_same(shop, api)

        people(shop, "ann", "bob")  # of whom ann was written to
        shop.home.dbt.mkdir(parents=True)
        red.note(shop.home, "test unique_customers")
        state = decide(campaign="hello", as_of="2026-04-01", home=day["home"], return_state=True)
        assert (state.name, state.message) == (
            "Held",
            "hello: stale data: red build: test unique_customers",
        )
        thursdays = {"schedule": "0 9 * * THU"}
        write(shop.project, None, {**HELLO, **thursdays}, {**WEEKLY, **thursdays})
        assert rests(shop, "hello") == {}, "made up for on the day the shop is at, a Tuesday"
        assert rests(shop, "weekly") == {"weekly": "paused in Prefect"}, "since it was made up for"
        shown = client.post("/artifacts/filter", json={"sort": "KEY_ASC"}).json()
        a_password_typed_there_is_not_kept(client)
    rows = {one["key"]: yaml.safe_load(one["data"]) for one in shown}
    assert rows["decide"][1] == {"campaign": "weekly", "held": "paused in Prefect"}
    (row,) = rows["decide-hello"]
    assert (row["held"], row["stale_data"]) == ("stale data: red build: test unique_customers", 1)


def typed_by_hand_it_is_the_same(shop: Workspace, api: str) -> None:
    words = ["--as-of", "2026-03-31", "--home", str(shop.home.root), "--json"]
    for command in ("plan", "decide"):
        told = ask(api, command, *words)
        held = {one["campaign"]: one["held"] for one in told["campaigns"] if one.get("held")}
        assert told.get("held", held) == {"weekly": "paused in Prefect"}
        assert "weekly" not in told["not_scheduled"]
    assert ask(api, "plan", "--diff", *words)["held"] == {"weekly": "paused in Prefect"}
    assert ask(api, "decide", "--campaign", "weekly", *words)["planned"] == 1
    assert {row["campaign"] for row in find(shop.home, Question())} == {"hello", "weekly"}


def a_password_typed_there_is_not_kept(client: httpx.Client) -> None:
    from flows.land import land

    where = "sftp://shop:s3cret@till.example/out/"
    state = land("till", where, home="var", return_state=True)
    assert state.is_failed()
    (run,) = client.post("/flow_runs/filter", json={"flows": {"name": {"any_": ["land"]}}}).json()
    assert run["parameters"]["path"] == "sftp://shop:********@till.example/out/"
    assert run["parameters"]["source"] == "till"
    kept = client.post("/artifacts/filter", json={}).json()
    assert "s3cret" not in json.dumps([run, kept, client.post("/logs/filter", json={}).json()])
    assert "write ${NAME} in its place" in run["state"]["message"]


def ask(api: str, *words: str) -> Any:
    """What the command says in a process of its own, whose Prefect is at `api`."""
    environment = {**os.environ, "TESSERA_PREFECT_API_URL": api}
    command = [str(Path(sys.executable).with_name("tessera")), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_the_schedule_wanted_while_tessera_was_not_up_is_made_up_for(
    shop: Workspace,
) -> None:
    """`prefect deploy` at each start took away what had fallen due; and a day that died was not begun again."""
    from flows import server, up

    def runs(*states: str) -> list[tuple[str, str, bool]]:
        found = up._runs(client, *states)
        names = {one["id"]: one["name"] for one in up._deployments(client)}
        return [
            (names[run["deployment_id"]], run["expected_start_time"][:10], "again" in run["tags"])
            for run in found
        ]

    def plan(name: str, day: str, state: str = "SCHEDULED") -> None:
        details = {"scheduled_time": f"2025-04-{day}T09:00:00Z"}
        (one,) = [one for one in up._deployments(client) if one["name"] == name]
        body = {"state": {"type": "SCHEDULED", "state_details": details}}
        run = client.post(f"/deployments/{one['id']}/create_flow_run", json=body).json()
        with closing(sqlite3.connect(shop.home.prefect / "prefect.db")) as database, database:
            database.execute("update flow_run set auto_scheduled = 1 where id = ?", [run["id"]])
        up._set_state(client, run, state, "") if state != "SCHEDULED" else None

    deployed = [deployment("hello"), {**deployment("weekly"), "tags": ["day"]}]
    file = shop.project / "deployments" / "prefect.yaml"
    file.write_text(yaml.safe_dump({"name": "tessera", "deployments": deployed}))
    with server.serving(shop, say=print) as api, up._client(api) as client:
        up._make_pool(client, ours=True)
        up._deploy(shop, api, client)
        for day in ("02", "03"):
            plan("hello", day)
        plan("hello", "04", "RUNNING")
        plan("weekly", "02", "RUNNING")
        up._tidy(client)
        up._deploy(shop, api, client)
        assert runs("SCHEDULED") == [("hello", "2025-04-03", False), ("weekly", "2025-04-02", True)]
        assert len(runs("CRASHED")) == 2
        hello, day = up._runs(client, "SCHEDULED")
        assert day["next_scheduled_start_time"] < (now := clock.now().isoformat())
        assert hello["next_scheduled_start_time"] > now, "campaigns wait for the day's new marts"
        weekly = up._runs(client, "SCHEDULED")[1]
        up._set_state(client, weekly, "RUNNING", "")
        up._tidy(client)  # killed before the one began, and while the other ran again
        assert runs("SCHEDULED") == [("hello", "2025-04-03", False)]

        (weekly,) = [one for one in up._deployments(client) if one["name"] == "weekly"]
        plan("weekly", "05", "RUNNING")
        client.post(f"/deployments/{weekly['id']}/pause_deployment").raise_for_status()
        up._tidy(client)
        assert runs("SCHEDULED") == [("hello", "2025-04-03", False)], "who is paused rests"

        plan("hello", "06")
        plan("hello", "06", "RUNNING")
        up._tidy(client, ours=False)
        assert [row[1] for row in runs("SCHEDULED", "RUNNING")] == ["2025-04-06", "2025-04-06"]


def test_one_sender_at_a_time_is_enough_for_the_schedule(shop: Workspace) -> None:
    """Two that wait for the throttle held up everything else that `tessera up` runs, two at a time."""
    from flows.send import send

    with Lifeline(shop.home.root / "senders"):
        state = send.fn(home=str(shop.home.root))
    assert (state.name, state.is_completed()) == ("Skipped", True)


def test_prefects_schedule_of_a_campaign_whose_own_file_has_moved_sends_nothing(
    shop: Workspace,
) -> None:
    """Until `tessera up` starts again, and longer where prefect.yaml was forgotten, the old days are Prefect's."""

    from flows.pauses import MADE_UP_FOR

    def given(schedule: str, named: str = "weekly", **run: Any) -> dict[str, str]:
        write(shop.project, None, {**WEEKLY, "schedule": schedule})
        return rests(shop, named, **run)

    why = {"weekly": "its own file does not name 2026-03-26"}
    too = {"weekly": "the day of 2026-03-31 judges it"}
    assert given("0 9 * * *") == too, "made up for in the night, it wrote to who had just been in"
    assert given("0 9 * * FRI") == why
    assert given("0 9 * * TUE") == why
    assert given("0 9 * * FRI", by_hand=True) == {}
    assert given("0 9 * * FRI", by_hand=True, tags=[MADE_UP_FOR]) == why
    assert given("0 9 * * FRI", named="gone") == {"gone": "its own file is gone"}


def rests(
    shop: Workspace, named: str, *, by_hand: bool = False, tags: Sequence[str] = ()
) -> dict[str, str]:
    """What `resting` says in a flow run that a schedule wanted on a Thursday."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.context import FlowRunContext

    from flows.pauses import resting

    run = {"flow_id": uuid4(), "auto_scheduled": not by_hand, "tags": tags}
    flow_run = FlowRun.model_validate({**run, "expected_start_time": THURSDAY})
    with FlowRunContext.model_construct(flow_run=flow_run):
        return resting(shop, [named], is_one=True)
