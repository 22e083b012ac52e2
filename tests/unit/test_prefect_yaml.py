"""deployments/prefect.yaml keeps up with the flows and the campaigns."""

from __future__ import annotations

import asyncio
import importlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from flows.up import in_zone
from tessera.decide import schedule
from tessera.errors import BadInput
from tessera.settings import CHECKOUT

FILE = CHECKOUT / "deployments" / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
CAMPAIGNS = sorted((CHECKOUT / "deployments" / "campaigns").glob("*.yml"))


def named(deployment: dict[str, Any]) -> str:
    return f"{deployment['entrypoint']} {deployment['name']}"


@pytest.mark.parametrize("file", CAMPAIGNS, ids=lambda file: file.stem)
def test_every_campaign_has_its_deployment_with_its_own_schedule(file: Path) -> None:
    campaign = yaml.safe_load(file.read_text(encoding="utf-8"))
    (deployment,) = [
        found
        for found in DEPLOYMENTS
        if found.get("parameters") == {"campaign": campaign["campaign"]}
    ]
    assert deployment["entrypoint"] == "flows/decide.py:decide"
    assert [schedule["cron"] for schedule in deployment["schedules"]] == [campaign["schedule"]]
    assert campaign["campaign"] in deployment["tags"]


def test_no_campaign_is_deployed_that_has_no_file() -> None:
    deployed = {d["parameters"]["campaign"] for d in DEPLOYMENTS if "parameters" in d}
    assert deployed == {file.stem for file in CAMPAIGNS}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=named)
def test_every_entrypoint_is_a_flow(deployment: dict[str, Any]) -> None:
    from prefect import Flow

    path, name = deployment["entrypoint"].split(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    found = getattr(module, name)
    assert isinstance(found, Flow)
    assert set(deployment.get("parameters", {})) <= set(found.parameters.properties)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=named)
def test_every_deployment_has_tags_a_pool_and_schedules_with_a_named_zone(
    deployment: dict[str, Any],
) -> None:
    assert deployment["tags"]
    assert deployment["work_pool"]["name"] == "tessera"
    for one in deployment["schedules"]:
        assert ZoneInfo(one["timezone"])


def test_no_two_deployments_of_a_flow_share_a_name() -> None:
    names = [named(deployment) for deployment in DEPLOYMENTS]
    assert len(set(names)) == len(names)


def test_the_day_and_every_stage_can_be_started_from_prefects_pages() -> None:
    stages = ["land", "validate", "model", "reward", "decide", "send", "hear", "report", "daily"]
    assert {d["entrypoint"] for d in DEPLOYMENTS} == {f"flows/{s}.py:{s}" for s in stages}


def test_a_day_that_failed_is_tried_again_until_noon() -> None:
    (day,) = (one for one in DEPLOYMENTS if one["entrypoint"] == "flows/daily.py:daily")
    first, again = day["schedules"]
    assert "parameters" not in first, "what was run by hand since midnight is not the day's run"
    assert again["parameters"] == {"unless_done": True}
    assert (first["cron"], again["cron"]) == ("0 6 * * *", "0 7-12 * * *")


def test_schedules_run_in_the_shops_zone() -> None:
    moved = in_zone(FILE, "Asia/Tehran")["deployments"]
    zones = {schedule["timezone"] for found in moved for schedule in found["schedules"]}
    assert zones == {"Asia/Tehran"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deployments: [", ":1: this is not YAML"),
        ("deployments:\n  - {name: a}", ":2: 'entrypoint' is missing"),
        ("name: tessera", ":1: 'deployments' is missing"),
        (
            "deployments:\n  - {name: a, entrypoint: b, schedules: {cron: 0 9 * * *}}",
            ":2: 'schedules'",
        ),
    ],
)
def test_a_prefect_yaml_that_is_none_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "deployments").mkdir()
    file = tmp_path / "deployments" / "prefect.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=f"^deployments/prefect.yaml{said}"):
        in_zone(file, "UTC")


def test_a_deployment_needs_no_schedule(tmp_path: Path) -> None:
    """To be started by hand alone."""
    file = tmp_path / "prefect.yaml"
    file.write_text("deployments:\n  - {name: a, entrypoint: b, tags: [c]}")
    (found,) = in_zone(file, "UTC")["deployments"]
    assert found == {"name": "a", "entrypoint": "b", "tags": ["c"], "schedules": []}


# In 2021 they all still switched; Tehran did at midnight.
ZONES = ["Europe/Athens", "America/New_York", "Asia/Tehran", "Pacific/Auckland"]
SWITCHES = [(date(2021, 3, 10), 30), (date(2021, 9, 18), 55)]  # first day and how many
LINES = ["0 9 * * *", "30 2 * * *", "30 3 * * SUN"]  # skipped somewhere, or twice


def days_of_prefect(cron: str, zone: str, first: date, days: int) -> list[date]:
    from prefect.server.schemas.schedules import CronSchedule

    start = datetime.combine(first, datetime.min.time(), ZoneInfo(zone))
    asked = CronSchedule(cron=cron, timezone=zone)
    found = asyncio.run(asked.get_dates(n=100, start=start, end=start + timedelta(days=days + 2)))
    local = [moment.astimezone(ZoneInfo(zone)).date() for moment in found]
    return [day for day in local if day < first + timedelta(days)]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", LINES)
def test_prefect_and_the_pass_agree_on_the_days_when_clocks_switch(cron: str, zone: str) -> None:
    """Case T29: cron unexpected at DST. No day is left out, and none comes twice."""
    for first, days in SWITCHES:
        span = [first + timedelta(n) for n in range(days)]
        ours = [day for day in span if schedule.is_due(cron, day)]
        assert ours == [day for day in span if "SUN" not in cron or day.weekday() == 6]
        assert days_of_prefect(cron, zone, first, days) == ours


def test_a_midnight_that_clocks_skip_is_run_by_prefect_the_evening_before() -> None:
    """So nothing that ships is scheduled at midnight; the pass itself goes by the day."""
    switch = date(2021, 3, 22)
    before = switch - timedelta(1)
    assert days_of_prefect("0 0 * * *", "Asia/Tehran", before, 3) == [
        before,
        before,
        date(2021, 3, 23),
    ]
    assert schedule.is_due("0 0 * * *", switch)
    crons = [one["cron"] for deployment in DEPLOYMENTS for one in deployment["schedules"]]
    assert not [cron for cron in crons if cron.split()[1] == "0"]
