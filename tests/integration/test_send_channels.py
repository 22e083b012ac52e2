"""Text messages and printed letters leave by the same outbox as mail, each through its own messenger."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.addresses import address_hash
from tessera.say import preview
from tessera.send import send
from tessera.send.messengers.base import Unusable
from tessera.testing import publish, workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import Api, customer, enqueue, outbox_row, provider, reasons, states

TEXT = "{{ shop.name }}: {{ given_name or 'you' }}, {{ points_balance | number }} points wait."
LETTER = (
    "<style>@page { size: A4; margin: 25mm }</style>"
    "<p lang='{{ lang }}' dir='{{ dir }}'>{{ given_name }}</p>"
)


@pytest.fixture
def api() -> Iterator[Api]:
    with provider() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "templates" / "t"
    folder.mkdir(parents=True)
    (folder / "sms.txt").write_text(TEXT, encoding="utf-8")
    (folder / "letter.html").write_text(LETTER, encoding="utf-8")
    return tmp_path / "project"


def by_text(ws: Workspace, numbers: list[str | None]) -> None:
    people = [customer(n, phone=phone, email=None) for n, phone in enumerate(numbers)]
    publish(ws, customers=people)
    rows = [outbox_row(f"c{n}", channel="sms", template="t") for n in range(len(numbers))]
    enqueue(ws, *rows)


@BOTH_STORES
def test_text_messages_are_posted_to_the_gateway_once_each(
    store_url: str, tmp_path: Path, project: Path, api: Api
) -> None:
    ws = workspace(
        tmp_path / "home",
        project=project,
        store_url=store_url,
        sms_url=f"{api.url}/v1/sms",
        sms_api_key="key",
    )
    by_text(ws, ["+371 20 000 001", "+371 20 000 002", None, "20000003", "+37120000004"])
    with ws.store.write() as connection:
        connection.run(
            "insert into suppression values (:hash, 'sms', 'all', 'bounce', '2026-01-01')",
            hash=address_hash("+37120000004"),
        )
    api.will("202", "429", "202")
    report = send(ws, sleep=lambda _seconds: None)
    assert report.by_messenger == {"file": 0, "sms": 2}
    assert reasons(ws) == {"c2": "no_address", "c3": "no_address", "c4": "suppressed"}
    assert max(body["to"] for body in api.bodies) == "+37120000002"
    assert api.bodies[0]["text"] == "The Shop: Name0, 0 points wait."
    assert len(api.journal) == len(set(api.journal)) == 2
    assert send(ws).claimed == 0


def test_a_gateway_that_fails_leaves_doubt_and_one_that_is_not_there_none(
    tmp_path: Path, project: Path, api: Api
) -> None:
    settings = {"project": project, "sms_api_key": "key"}
    ws = workspace(tmp_path / "home", sms_url=f"{api.url}/v1/sms", **settings)
    by_text(ws, ["+37120000001", "+37120000002", "+37120000003"])
    api.will("500", "400", "cut-after")
    send(ws, sleep=lambda _seconds: None)
    assert states(ws) == {"ambiguous": 2, "rejected": 1}
    gone = workspace(tmp_path / "2", sms_url="http://127.0.0.1:1/sms", **settings)
    by_text(gone, ["+37120000001"])
    with pytest.raises(Unusable, match="cannot be reached"):
        send(gone)
    assert states(gone) == {"ready": 1}


def test_a_text_message_that_comes_out_empty_is_not_paid_for(tmp_path: Path, project: Path) -> None:
    (project / "templates/t/sms.txt").write_text("{% if points_balance > 5 %}Come in{% endif %}\n")
    ws = workspace(tmp_path / "home", project=project)
    by_text(ws, ["+37120000001"])
    assert (send(ws).accepted, states(ws)) == (0, {"rejected": 1})
    assert "t/sms.txt is empty for this customer" in reasons(ws)["c0"]


def test_without_a_gateway_text_messages_are_files(tmp_path: Path, project: Path) -> None:
    ws = workspace(tmp_path / "home", project=project)
    by_text(ws, ["+37120000001"])
    assert send(ws).accepted == 1
    (path,) = (ws.home.root / "sms" / "2026-03-31").iterdir()
    assert path.read_text() == "To: +37120000001\n\nThe Shop: Name0, 0 points wait."


def test_letters_are_pages_and_one_list_for_the_letter_shop(tmp_path: Path, project: Path) -> None:
    ws = workspace(tmp_path / "home", project=project)
    publish(ws, customers=[customer(n, email=None) for n in range(3)])
    rows = [outbox_row(f"c{n}", channel="print", template="t") for n in range(3)]
    keys = enqueue(ws, *rows[:2])
    assert send(ws).accepted == 2
    keys += enqueue(ws, rows[2])
    assert send(ws).accepted == 1
    folder = ws.home.root / "print" / "2026-03-31"
    with (folder / "letters.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert sorted(row["customer_id"] for row in listed) == ["c0", "c1", "c2"]
    assert {row["page"] for row in listed} == {f"{key}.html" for key in keys}
    page = (folder / f"{keys[1]}.html").read_text(encoding="utf-8")
    assert "size: A4" in page
    assert "<p lang='en' dir='ltr'>Name1</p>" in page


def test_a_preview_shows_a_text_or_a_letter_and_nothing_of_a_mail(
    tmp_path: Path, project: Path
) -> None:
    ws = workspace(tmp_path / "home", project=project)
    for channel, view in (("sms", "Text"), ("print", "Letter")):
        page = preview(ws, "t", channel=channel).read_text(encoding="utf-8")
        assert re.findall("<h2>(.*)</h2>", page) == [view]
        assert ("bytes of HTML" in page) == (channel == "print")
