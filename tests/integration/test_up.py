"""Prefect's processes end with the one that started them; one server per home; `tessera up`."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows import pauses, server, up
from tessera import clock
from tessera.errors import BadInput, OutOfSpace, TesseraError
from tessera.settings import CHECKOUT
from tessera.testing import workspace
from tessera.workspace import Workspace
from tests.integration.test_cli import on_a_disk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

TESSERA = str(Path(sys.executable).with_name("tessera"))
SERVING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from flows import server
from tessera.workspace import open_workspace
with server.serving(open_workspace(home=sys.argv[1]), say=print):
    print("serving", flush=True)
    time.sleep(300)
"""


def of_home(home: Path) -> list[int]:
    """The processes that work for the Prefect of `home`."""
    mark = f"PREFECT_HOME={home / 'prefect'}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_until(holds: Callable[[], object], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all, for a server takes its time over a new one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", autouse=True)
def own_environment() -> Iterator[None]:
    """What a server puts into the environment goes with it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@contextmanager
def machine(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A real `tessera up` in a process of its own; ended in any case."""
    process = subprocess.Popen(
        [TESSERA, "up", "--home", str(home)],
        env={**os.environ, "TESSERA_TIMEZONE": "Asia/Tehran"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str], sign: int, *, home: Path) -> int:
    """Send the signal; the exit code once nothing is left."""
    process.send_signal(sign)
    code = process.wait(30)
    wait_until(lambda: not of_home(home), seconds=10)
    return code


def test_up_deploys_everything_and_kill_minus_nine_takes_it_all_along(home: Path) -> None:
    wanted = up.in_zone(CHECKOUT / "deployments" / "prefect.yaml", "Asia/Tehran")["deployments"]
    with machine(home) as process:
        greeting = list(iter(process.stdout.readline, "Ctrl-C stops all of it.\n"))  # type: ignore[union-attr]
        assert greeting[0].startswith("Starting")
        url, pages = greeting[1].split()[-1], greeting[2].split()[1]
        wait_until(lambda: answers(f"{pages}/health"))
        with up._client(f"{url}/api") as client:
            found = client.post("/deployments/filter", json={}).json()
            assert schedules(found) == schedules(wanted)
            by_schedule = [one for one in found if one["schedules"]]
            wait_until(lambda: all(runs_planned(client, one) for one in by_schedule))
            assert client.get(url).status_code == 200
            heard = post(client, f"/deployments/{id_of(found, 'hear')}/create_flow_run")
            wait_until(lambda: state_of(client, heard) == "COMPLETED")
            with (home / "run.lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # so that the day waits while we look at it
                daily = post(client, f"/deployments/{id_of(found, 'daily')}/create_flow_run")
                wait_until(lambda: state_of(client, daily) == "RUNNING")
                assert len(of_home(home)) >= 4  # server, worker, pages, flow run
                end(process, signal.SIGKILL, home=home)
    assert server.kept_server(workspace(home)) is None


def test_a_server_that_dies_while_up_starts_is_one_sentence(home: Path) -> None:
    with subprocess.Popen(
        [TESSERA, "up", "--home", str(home)], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: server.kept_server(workspace(home)))
        pid = next(one for one in of_home(home) if "uvicorn" in command_of(one))
        os.kill(pid, signal.SIGKILL)
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == TesseraError.exit_code
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    wait_until(lambda: not of_home(home), seconds=10)


def command_of(pid: int) -> str:
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    return ""


def test_a_second_up_is_refused_and_the_first_ends_by_sigterm(home: Path) -> None:
    with machine(home) as process:
        wait_until(lambda: server.kept_server(workspace(home)))
        again = subprocess.run(
            [TESSERA, "up", "--home", str(home)], capture_output=True, text=True, check=False
        )
        assert "Tessera is up already" in again.stderr
        assert again.returncode == 3
        assert end(process, signal.SIGTERM, home=home) == 0
    assert not (home / "prefect" / "server.json").exists()


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    return False


def schedules(deployments: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """What each deployment runs, and when."""
    return {
        (
            found["entrypoint"],
            found["name"],
            *sorted(
                f"{crontab(one)['cron']} {crontab(one)['timezone']} {one.get('parameters') or ''}"
                for one in found["schedules"]
            ),
        )
        for found in deployments
    }


def runs_planned(client: httpx.Client, deployment: dict[str, Any]) -> int:
    """How many runs the server's scheduler has planned of a deployment."""
    asked = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    return int(client.post("/flow_runs/count", json=asked).raise_for_status().json())


def id_of(deployments: list[dict[str, Any]], stage: str) -> str:
    """The deployment of a stage."""
    entrypoint = f"flows/{stage}.py:{stage}"
    return str(next(found["id"] for found in deployments if found["entrypoint"] == entrypoint))


def crontab(schedule: dict[str, Any]) -> dict[str, Any]:
    """The API wraps a schedule, the file does not."""
    inner: dict[str, Any] = schedule.get("schedule", schedule)
    return inner


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[tuple[Workspace, str]]:
    """The home's workspace, and the API URL of the server that another process could find."""
    ws = workspace(home)
    with server.keeping(ws, port=None) as running:
        yield ws, running.api


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_dies_with_its_process_however_that_dies(sign: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVING, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: of_home(tmp_path))
    process.send_signal(sign)
    process.wait(30)
    wait_until(lambda: not of_home(tmp_path), seconds=10)


def test_a_kept_server_is_found_and_not_started_twice(served: tuple[Workspace, str]) -> None:
    ws, api = served
    before = of_home(ws.home.root)
    with server.serving(ws, say=pytest.fail) as found:
        assert found == api
    assert of_home(ws.home.root) == before
    assert server.is_healthy(api)


def test_a_server_of_the_users_own_is_taken_as_it_is(
    served: tuple[Workspace, str], tmp_path: Path
) -> None:
    _, api = served
    ws = workspace(tmp_path / "new" / "home", prefect_api_url=api)
    with server.serving(ws, say=pytest.fail) as found:
        assert found == api
        assert ws.home.prefect.is_dir()  # where what is deployed is written
    assert of_home(ws.home.root) == []


def test_a_server_of_the_users_own_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    ws = workspace(tmp_path, prefect_api_url="http://127.0.0.1:1/api")
    with pytest.raises(server.ServerFailed, match="check TESSERA_PREFECT_API_URL"):
        server.serving(ws, say=pytest.fail).__enter__()


def test_a_server_that_goes_away_is_one_sentence_and_a_users_mistake_stays_what_it_is(
    tmp_path: Path,
) -> None:
    gone = ("http://127.0.0.1:1/api", tmp_path)
    with (
        pytest.raises(server.ServerFailed, match="nothing is done twice"),
        server.explained(*gone),
    ):
        raise httpx.ConnectError("All connection attempts failed")
    with pytest.raises(BadInput, match="a sentence"), server.explained(*gone):
        raise BadInput("a sentence")


FILLING = """
import os
from flows import server
from flows.runtime import connected
from tessera.cli import app
from tessera.workspace import open_workspace

def work():
    ws = open_workspace()
    with server.serving(ws, say=print) as api, connected(api):
        from prefect import flow

        with open(ws.home.root / "filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        for _ in range(200):
            flow(lambda: None, name="any")()

app.app = work
app.main()
"""


def test_a_disk_that_fills_under_a_server_is_one_sentence(tmp_path: Path) -> None:
    """Prefect says 500, and that its server is well."""
    disk = tmp_path / "disk"
    settings = {**os.environ, "TESSERA_HOME": str(disk / "home")}
    done = on_a_disk(disk, "-c", FILLING, size="60m", cwd=CHECKOUT, env=settings)
    assert done.stderr == f"error: {OutOfSpace()}\n"
    assert done.returncode == OutOfSpace.exit_code


def test_a_run_waits_for_another_that_has_its_own_server(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    said: list[str] = []
    got: list[Any] = []
    other = server._lock(ws)
    assert other is not None
    waiting = threading.Thread(target=lambda: got.append(server._lock_or_find(ws, said.append)))
    waiting.start()
    wait_until(lambda: said)
    assert got == []
    other.close()
    waiting.join(10)
    got[0].close()
    assert said == [f"another run is under way in {ws.home.root}; waiting for it"]


def test_prefect_keeps_to_the_home_and_phones_nobody(ws: Workspace) -> None:
    told = server.variables(ws, "http://127.0.0.1:1/api")
    folder = str(ws.home.prefect)
    assert told["PREFECT_HOME"] == folder
    assert folder in told["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert told["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert told["DO_NOT_TRACK"] == "1"


def test_a_server_whose_database_is_busy_is_asked_again() -> None:
    """It says 503, and `tessera up` ended in a traceback."""
    answers = [503, 503, 200, 503]

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answers.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        with up._client(f"http://127.0.0.1:{busy.server_port}") as client:
            assert client.post("/flow_runs/filter", json={}).status_code == 200
        busy.shutdown()
    assert answers == [503]


def test_prefect_does_not_keep_its_runs_for_ever(ws: Workspace) -> None:
    """Its database grew by all runs, their logs and their tables, without end."""
    asked = (
        "from prefect.settings import get_current_settings as found\n"
        "told = found().server.services.db_vacuum\n"
        "print(*sorted(told.enabled_vacuum_types), told.retention_period.days)"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked],
        env=server.environment(ws, "http://127.0.0.1:1/api"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["events", "flow_runs", "orphans", "90"]


def test_another_prefect_of_the_user_does_not_leak_in(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "work")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    told = server.environment(ws, "http://127.0.0.1:1/api")
    assert "PREFECT_PROFILE" not in told
    assert "PREFECT_API_KEY" not in told


def test_a_proxy_is_not_asked_for_our_own_server(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    assert server.variables(ws, "x")["NO_PROXY"] == "intranet,127.0.0.1,localhost"


def test_a_server_that_cannot_start_is_one_sentence(ws: Workspace) -> None:
    ws.home.prefect.mkdir(parents=True)
    (ws.home.prefect / "prefect.db").write_bytes(b"no database, but a file that is there" * 100)
    with pytest.raises(server.ServerFailed, match=r"server\.log says why"):
        server.serving(ws, say=pytest.fail).__enter__()
    assert of_home(ws.home.root) == []


def test_another_homes_server_is_not_taken_for_ours(
    served: tuple[Workspace, str], tmp_path: Path
) -> None:
    """Two that came up at once both found port 4200 free: the slower one settled, and deployed to, the other's."""
    port = int(served[1].removesuffix("/api").rpartition(":")[2])
    with pytest.raises(server.ServerFailed, match=f"did not start on port {port}"):
        server.keeping(workspace(tmp_path), port=port).__enter__()
    assert of_home(tmp_path) == []


def test_what_a_killed_up_noted_is_not_believed_once_another_home_has_its_port(
    served: tuple[Workspace, str], tmp_path: Path
) -> None:
    """After a power cut the other came up first: a run went to its server, and its paused campaigns rested here."""
    ws, _ = served
    later = workspace(tmp_path)
    later.home.prefect.mkdir(parents=True)
    for noted in (server._record(ws), later.home.prefect / "server.json"):
        noted.write_text(f'{{"api": "{served[1]}"}}', encoding="utf-8")
    assert server.kept_server(ws) == served[1]
    assert server.kept_server(later) is None
    assert pauses.known(later) == {}


def test_what_a_kill_left_behind_is_settled(served: tuple[Workspace, str]) -> None:
    """Dead runs are marked crashed; of the runs that fell due meanwhile one is made up for."""
    with up._client(served[1]) as client:
        flow = post(client, "/flows/", name="tidy")
        dead = post(client, "/flow_runs/", flow_id=flow, state={"type": "RUNNING"})
        deployment = post(client, "/deployments/", name="d", flow_id=flow)
        due = [clock.now() + timedelta(hours=hours) for hours in (-3, -2, -1, 1)]
        runs = [
            post(
                client,
                f"/deployments/{deployment}/create_flow_run",
                state={"type": "SCHEDULED", "state_details": {"scheduled_time": str(moment)}},
            )
            for moment in due
        ]
        up._tidy(client)
        states = [state_of(client, run) for run in [dead, *runs]]
    assert states == ["CRASHED", "CANCELLED", "CANCELLED", "SCHEDULED", "SCHEDULED"]


def post(client: httpx.Client, path: str, **body: Any) -> str:
    """Make something; its id."""
    return str(client.post(path, json=body).raise_for_status().json()["id"])


def state_of(client: httpx.Client, run: str) -> str:
    return str(client.get(f"/flow_runs/{run}").raise_for_status().json()["state_type"])
