"""Senders are killed at every point, and run at once: nothing is sent twice and nothing is lost.

Cases T1, T2 and T7 of what senders elsewhere got wrong: a checkpoint moved before the send, a resume
that starts over, two at the same second.
"""

from __future__ import annotations

import email
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.hear import hear
from tessera.send import send
from tessera.send.messengers.sendgrid import SendGridMessenger
from tessera.settings import environment
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.conftest import BOTH_STORES
from tests.sending import Api, plan, provider, reasons, states

SENDER = "from tessera.cli import main; main()"
# A sender that kills itself right before or after it commits one of its steps for the n-th time.
DOOMED = """
import os, signal, sys
from tessera.send.outbox import Outbox
point, moment, nth = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
original, times = getattr(Outbox, point), []
def doomed(*args, **options):
    times.append(1)
    if moment == "before" and len(times) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*args, **options)
    if moment == "after" and len(times) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(Outbox, point, doomed)
from tessera.cli import main
main()
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with provider() as found:
        yield found


def start(ws: Workspace, code: str, *args: str, host: str | None = None) -> subprocess.Popen[bytes]:
    """A sender in a process of its own."""
    settings = {"TESSERA_STORE_URL": ws.settings.store_url or ""}
    if host:
        settings |= {
            "TESSERA_MESSENGER": "sendgrid",
            "TESSERA_SENDGRID_HOST": host,
            "TESSERA_SENDGRID_API_KEY": "key",
        }
    command = ["send", "--home", str(ws.home.root), "--as-of", "2026-03-31"]
    return subprocess.Popen(
        [sys.executable, "-c", code, *args, *command],
        env={**environment(without=("TESSERA_",)), **settings},
        cwd=ws.home.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes], code: int) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors.decode()


def nothing_twice_nothing_lost(ws: Workspace, api: Api, keys: list[str]) -> None:
    """Every message is accepted, or in doubt; what the provider took is exactly that."""
    assert len(api.journal) == len(set(api.journal))
    assert set(api.journal) <= set(keys)
    with ws.store.read() as connection:
        rows = connection.all("select send_key, state from outbox")
        assert (
            connection.scalar("select count(*) from provider_request where state = 'leased'") == 0
        )
    assert {row["state"] for row in rows} <= {"accepted", "ambiguous"}
    unsent = set(keys) - set(api.journal)
    assert unsent <= {row["send_key"] for row in rows if row["state"] == "ambiguous"}


@BOTH_STORES
@pytest.mark.parametrize(
    ("death", "doubtful"),
    [
        ("claim after 1", 0),
        ("call before 3", 0),
        ("call after 3", 1),
        ("finish before 3", 1),
        ("finish after 3", 0),
    ],
)
def test_a_killed_sender_leaves_at_most_one_message_in_doubt(
    store_url: str, tmp_path: Path, api: Api, death: str, doubtful: int
) -> None:
    """Complaint 34: a dead worker kept its slot; the next run finishes what it had in hand."""
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 6, campaigns=6)
    ended(start(ws, DOOMED, *death.split(), host=api.url), -signal.SIGKILL)
    send(ws, messenger=SendGridMessenger("key", api.url))
    nothing_twice_nothing_lost(ws, api, keys)
    assert states(ws) == {"accepted": 6 - doubtful} | ({"ambiguous": 1} if doubtful else {})


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_providers_events_end_the_doubt(tmp_path: Path, api: Api, moment: str) -> None:
    ws = workspace(tmp_path)
    keys = plan(ws, 4, campaigns=4)
    found: list[subprocess.Popen[bytes]] = []
    api.kill_at(2, moment, lambda: found[0].pid)
    api.will("202", "cut-before" if moment == "before" else "202")
    found.append(start(ws, SENDER, host=api.url))
    ended(found[0], -signal.SIGKILL)
    api.kill = None
    send(ws, messenger=SendGridMessenger("key", api.url))
    nothing_twice_nothing_lost(ws, api, keys)
    assert states(ws)["ambiguous"] == 1
    events = [{"event": "processed", "timestamp": 1, "send_key": key} for key in api.journal]
    path = tmp_path / "events.json"
    path.write_text(json.dumps(events))
    hear(ws, [path])
    expected = {
        "before": {"accepted": 3, "ambiguous": 1},
        "after": {"accepted": 3, "reconciled": 1},
    }
    assert states(ws) == expected[moment]


@BOTH_STORES
def test_three_senders_at_once_send_everything_once(
    store_url: str, tmp_path: Path, api: Api
) -> None:
    ws = workspace(tmp_path, store_url=store_url)
    keys = plan(ws, 60, campaigns=30)
    others = [start(ws, SENDER, host=api.url) for _ in range(2)]
    while not api.journal and all(process.poll() is None for process in others):
        time.sleep(0.01)
    send(ws, messenger=SendGridMessenger("key", api.url))
    for process in others:
        ended(process, 0)
    assert sorted(api.journal) == sorted(keys)
    assert states(ws) == {"accepted": 60}


def test_files_are_whole_and_all_there_after_any_number_of_kills(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    keys = plan(ws, 900)
    folder, chance = ws.home.mail / "2026-03-31", random.Random(7)
    for enough in (1, 500):
        process = start(ws, SENDER)
        while process.poll() is None and len(list(folder.glob("*.eml"))) < enough:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.communicate()
    send(ws)
    assert states(ws) == {"accepted": 900}
    assert {path.name for path in folder.iterdir()} == {f"{key}.eml" for key in keys}
    for path in folder.iterdir():
        message = email.message_from_bytes(path.read_bytes())
        assert len(message.get_payload()) == 2
        assert path.read_bytes().endswith(f"--=_{path.stem}--\r\n".encode())
    assert reasons(ws) == {}
