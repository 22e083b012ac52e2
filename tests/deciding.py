"""What tests of deciding share: campaign files, people, and what was decided about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from tessera.decide.decisions import Question, find
from tessera.testing import publish
from tessera.workspace import Workspace

YES = {
    "channel": "email",
    "purpose": "marketing",
    "granted": True,
    "recorded_at": datetime.fromisoformat("2026-01-01"),
}
HELLO = {
    "campaign": "hello",
    "purpose": "marketing",
    "audience": "all",
    "priority": 50,
    "schedule": "0 9 * * *",
    "steps": [{"name": "first", "template": "hello/first"}],
}


def write(project: Path, policy: dict[str, Any] | None = None, *campaigns: dict[str, Any]) -> None:
    folder = project / "deployments" / "campaigns"
    folder.mkdir(parents=True, exist_ok=True)
    if policy is not None:
        (folder.parent / "contact_policy.yml").write_text(yaml.safe_dump(policy))
    for campaign in campaigns:
        (folder / f"{campaign['campaign']}.yml").write_text(yaml.safe_dump(campaign))
        for step in campaign["steps"]:
            for content in step.get("variants") or [step]:
                plain(project, content["template"])


def plain(project: Path, template: str) -> None:
    """A template that says next to nothing, on every channel, unless it is there."""
    folder = project / "templates" / template
    if folder.is_dir() and any(folder.iterdir()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("subject.txt", "body.html", "body.txt", "sms.txt", "letter.html"):
        (folder / part).write_text("Hello")


def person(name: str, **columns: Any) -> dict[str, Any]:
    return {"customer_id": name, "email": f"{name}@shop.example", "language": "en", **columns}


def member(name: str, **columns: Any) -> dict[str, Any]:
    return {
        "customer_id": name,
        "occurrence": "first",
        "entered_on": date(2026, 3, 1),
        "expected_value": 0,
        **columns,
    }


def people(ws: Workspace, *names: str, **marts: Any) -> None:
    """Publish customers who said yes and are in the audience `all`; `marts` overrule."""
    usual = {
        "customers": [person(name) for name in names],
        "consents": [{**YES, "customer_id": name} for name in names],
        "audience_all": [member(name) for name in names],
    }
    publish(ws, **usual | marts)


def on(ws: Workspace, day: str) -> Workspace:
    later = replace(ws, as_of=datetime.fromisoformat(day).replace(tzinfo=UTC))
    object.__setattr__(later, "store", ws.store)  # one pool for all days
    return later


def outbox(ws: Workspace) -> list[dict[str, Any]]:
    with ws.store.read() as store:
        return [dict(row) for row in store.all("select * from outbox order by message_id")]


def insert(ws: Workspace, table: str, **row: Any) -> None:
    with ws.store.write() as store:
        store.insert_new(table, pa.Table.from_pylist([row]))


def reasons(ws: Workspace) -> dict[str, str]:
    """Each customer's reason on the business date."""
    return {
        row["customer_id"]: row["reason"] for row in find(ws.home, Question(on=ws.business_date))
    }


def why(ws: Workspace, customer: str) -> tuple[str, str | None]:
    (row,) = find(ws.home, Question(on=ws.business_date, customer_id=customer))
    return row["reason"], row["decided_by"]
