"""One machine that runs by itself: server, deployments, schedules, worker, public pages."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx
import yaml
from pydantic import ConfigDict, Field

from flows import server, tether
from flows.pauses import MADE_UP_FOR, is_paused
from tessera import clock, documents, settings
from tessera.documents import Document
from tessera.errors import TesseraError
from tessera.workspace import Workspace

POOL = "tessera"
RUNS_AT_ONCE = 2  # a day that takes its time must not hold up the mail
OVERDUE = "Tessera was not up when this was due; the latest of its kind is made up for."
DIED = "Tessera was stopped while this ran."
AFTER_DAY = "The day is made up for first."
DAY, CAMPAIGN = "day", "campaign"  # tags in prefect.yaml
DAY_TAKES = timedelta(minutes=30)  # on old marts a campaign would be held, or judged by them
AGAIN = "again"  # the tag of a run that takes the place of one that died; it dies for good
Child = subprocess.Popen[bytes]


class Deployment(Document):
    """What we must know of one; the rest is Prefect's to judge."""

    model_config = ConfigDict(extra="allow")

    name: str
    entrypoint: str
    schedules: list[dict[str, Any]] = Field(default_factory=list)


class Deployments(Document):
    """A prefect.yaml."""

    model_config = ConfigDict(extra="allow")

    deployments: list[Deployment]


class Stopped(BaseException):
    """A signal asked this process to end. No `except Exception` on the way may swallow it."""


def up(ws: Workspace, *, port: int | None, say: Callable[[str], None]) -> None:
    """Serve, deploy, work, until SIGINT or SIGTERM; then nothing is left behind."""
    _listen()
    say("Starting the server, the deployments, the worker and the pages …")
    try:
        with _server(ws, port) as (api, children), _client(api) as client:
            _make_pool(client, ours=bool(children))
            _deploy(ws, api, client)
            with _worker(ws, api) as worker, _pages(ws, api) as (pages, at):
                _greet(ws, client, at, say)
                _watch([*children, worker, pages], ws)
    except Stopped:
        say("stopped")


def _listen() -> None:
    """SIGINT and SIGTERM stop, and so does a terminal that closes, unless `nohup` said otherwise."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:
            signal.signal(sign, _stop)


def _stop(*_: object) -> NoReturn:
    raise Stopped


class _Patient(httpx.HTTPTransport):
    """Asks again a server whose own database is busy, as at its start: it says 503."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for seconds in (0.5, 1, 2, 4, 8, 16):
            response = super().handle_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            response.close()
            time.sleep(seconds)
        return super().handle_request(request)


def _client(api: str) -> httpx.Client:
    return httpx.Client(base_url=api, trust_env=False, timeout=60, transport=_Patient())


@contextmanager
def _server(ws: Workspace, port: int | None) -> Iterator[tuple[str, list[Child]]]:
    """The API URL of the user's own server, or of one kept here, with its process."""
    if api := server.users_own(ws):
        settings.overrule(server.variables(ws, api))
        with server.explained(api, ws.home.prefect):
            with _client(api) as client:
                _tidy(client, ours=False)
            yield api, []
        return
    with server.keeping(ws, port=port) as kept, server.explained(kept.api, ws.home.prefect):
        with _client(kept.api) as client:
            _tidy(client)
        yield kept.api, [kept.process]


def _tidy(client: httpx.Client, *, ours: bool = True) -> None:
    """Settle what the last stop left: runs that fell due meanwhile, and runs that died. Of those that a
    schedule wanted one of each deployment is made up for. On a server that is not ours, what runs may run elsewhere.
    """
    died = _runs(client, "RUNNING", "PENDING", "CANCELLING") if ours else []
    by_now = {"before_": clock.now().isoformat()}
    waiting = _runs(client, "SCHEDULED", expected_start_time=by_now)
    overdue = [run for run in waiting if ours or run["work_pool_name"] == POOL]
    latest = {run["deployment_id"]: run for run in reversed(overdue)}
    owed = {key: run for key, run in latest.items() if _by_schedule(run)}
    paused = {one["id"] for one in _deployments(client) if is_paused(one)}
    for run in died:
        if _begins_again(run) and run["deployment_id"] not in latest.keys() | paused:
            owed.setdefault(run["deployment_id"], {**run, "tags": [*run["tags"], AGAIN]})
    has_day = any(DAY in run["tags"] for run in owed.values())
    for run in owed.values():
        made = _make_up_for(client, run)
        if has_day and CAMPAIGN in run["tags"]:
            _set_state(client, made, "SCHEDULED", AFTER_DAY, at=clock.now() + DAY_TAKES)
    for run in overdue:
        if run["deployment_id"] in owed or run is not latest[run["deployment_id"]]:
            _set_state(client, run, "CANCELLED", OVERDUE)
    for run in died:
        _set_state(client, run, "CRASHED", DIED)


def _by_schedule(run: dict[str, Any]) -> bool:
    return bool(run["deployment_id"]) and (run["auto_scheduled"] or MADE_UP_FOR in run["tags"])


def _begins_again(run: dict[str, Any]) -> bool:
    """Not what somebody was cancelling, nor what died before: it may be what takes this machine along."""
    return _by_schedule(run) and AGAIN not in run["tags"] and run["state_type"] != "CANCELLING"


def _make_up_for(client: httpx.Client, run: dict[str, Any]) -> dict[str, Any]:
    """A run in the place of `run`, which could not begin again itself: Prefect takes away what its scheduler
    planned when its deployment is deployed anew."""
    body = {
        "parameters": run["parameters"],
        "tags": [*run["tags"], MADE_UP_FOR],
        "state": {
            "type": "SCHEDULED",
            "state_details": {"scheduled_time": run["expected_start_time"]},
        },
    }
    made = client.post(f"/deployments/{run['deployment_id']}/create_flow_run", json=body)
    return dict(made.raise_for_status().json())


def _runs(client: httpx.Client, *states: str, **more: Any) -> list[dict[str, Any]]:
    """Flow runs in these states, the latest first."""
    asked = {"flow_runs": {"state": {"type": {"any_": states}}, **more}}
    return _found(client, "flow_runs", {**asked, "sort": "EXPECTED_START_TIME_DESC"})


def _found(client: httpx.Client, what: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """All pages of an answer."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.post(f"/{what}/filter", json={**asked, "offset": len(found)})
        if not (rows := page.raise_for_status().json()):
            return found
        found += rows


def _set_state(
    client: httpx.Client,
    run: dict[str, Any],
    state: str,
    message: str,
    *,
    at: datetime | None = None,
) -> None:
    details = {"scheduled_time": at.isoformat()} if at else {}
    body = {"state": {"type": state, "message": message, "state_details": details}, "force": True}
    client.post(f"/flow_runs/{run['id']}/set_state", json=body).raise_for_status()


def _make_pool(client: httpx.Client, *, ours: bool) -> None:
    """A pool whose flow runs are tied to their worker, as the worker is to us; on a server that
    is not ours, a pool that is there already is left as it is."""
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    engine = tether.command(sys.executable, "-m", "prefect.engine")
    template["variables"]["properties"]["command"]["default"] = shlex.join(engine)
    wanted = {"base_job_template": template}
    if client.get(f"/work_pools/{POOL}").status_code == httpx.codes.OK:
        if ours:
            client.patch(f"/work_pools/{POOL}", json=wanted).raise_for_status()
    else:
        body = {"name": POOL, "type": "process", **wanted}
        client.post("/work_pools/", json=body).raise_for_status()


def _deploy(ws: Workspace, api: str, client: httpx.Client) -> None:
    """Deploy everything in deployments/prefect.yaml; what is no longer in it goes."""
    file, log = ws.home.prefect / "prefect.yaml", ws.home.prefect / "deploy.log"
    wanted = in_zone(ws.project / "deployments" / "prefect.yaml", ws.settings.timezone)
    _keep_paused(client, wanted["deployments"])
    file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    child = _prefect(ws, api, log, "deploy", "--all", "--prefect-file", str(file))
    try:
        child.wait()
    finally:
        tether.stop(child)
    if child.returncode:
        raise TesseraError(f"The deployments were refused; {log} says why.")
    _remove_others(client, {f"{d['name']}\0{d['entrypoint']}" for d in wanted["deployments"]})


def _keep_paused(client: httpx.Client, wanted: Sequence[dict[str, Any]]) -> None:
    """Whoever paused a deployment meant it to stay so when we start again."""
    found = {(one["name"], one["entrypoint"]) for one in _deployments(client) if is_paused(one)}
    for one in wanted:
        one["paused"] = (one["name"], one["entrypoint"]) in found


def in_zone(file: Path, zone: str) -> dict[str, Any]:
    """The deployments of a prefect.yaml with every schedule in `zone`; BadInput says file and line."""
    wanted = documents.load(file, Deployments, project=file.parent.parent).model_dump()
    for deployment in wanted["deployments"]:
        for schedule in deployment["schedules"]:
            schedule["timezone"] = zone
    return wanted


def _remove_others(client: httpx.Client, wanted: set[str]) -> None:
    for found in _deployments(client):
        if f"{found['name']}\0{found['entrypoint']}" not in wanted:
            client.delete(f"/deployments/{found['id']}").raise_for_status()


def _deployments(client: httpx.Client) -> list[dict[str, Any]]:
    """The deployments of our pool."""
    return _found(client, "deployments", {"work_pools": {"name": {"any_": [POOL]}}})


def _prefect(ws: Workspace, api: str, log: Path, *words: str) -> Child:
    """The prefect command, tied to this process, in the project's folder."""
    return tether.start(
        *(sys.executable, "-m", "prefect", *words),
        env=server.environment(ws, api),
        output=log,
        folder=ws.project,
    )


@contextmanager
def _worker(ws: Workspace, api: str) -> Iterator[Child]:
    words = f"worker start --pool {POOL} --type process --limit {RUNS_AT_ONCE}".split()
    child = _prefect(ws, api, ws.home.prefect / "worker.log", *words)
    try:
        yield child
    finally:
        # Every stage may be killed at any instant, so a run under way is not waited for.
        tether.stop(child, patience_seconds=1)


@contextmanager
def _pages(ws: Workspace, api: str) -> Iterator[tuple[Child, str]]:
    """`tessera web`, and where it listens: on its port, or any free one when that is taken."""
    port = server.free_port(ws.settings.web_port)
    words = ("-c", "from tessera.cli import main; main()", "web", "--port", str(port))
    log, env = ws.home.prefect / "web.log", server.environment(ws, api)
    child = tether.start(sys.executable, *words, env=env, output=log, folder=ws.project)
    try:
        yield child, f"http://127.0.0.1:{port}"
    finally:
        tether.stop(child)


def _greet(ws: Workspace, client: httpx.Client, pages: str, say: Callable[[str], None]) -> None:
    deployments = _deployments(client)
    scheduled = sum(1 for deployment in deployments if deployment["schedules"])
    say(f"Prefect      {str(client.base_url).removesuffix('/api/')}")
    say(f"pages        {pages} for {ws.settings.public_url}")
    say(f"deployments  {len(deployments)}, {scheduled} of them on a schedule")
    say(f"home         {ws.home.root}")
    say(f"logs         {ws.home.prefect}/server.log, worker.log, web.log")
    say("Ctrl-C stops all of it.")


def _watch(children: list[Child], ws: Workspace) -> None:
    """Come back only by an exception: a signal, or the end of a child."""
    while all(child.poll() is None for child in children):
        time.sleep(0.5)
    raise TesseraError(
        f"The server, the worker or the pages ended by themselves; the logs in {ws.home.prefect} say why."
    )
