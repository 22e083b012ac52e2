"""The Prefect server of one home: found when `tessera up` keeps it, else started for one run.

Prefect's own temporary server outlives a killed flow; this one is tied to its process. Two
servers on one database get in each other's way, so whoever keeps a server holds a lock on it.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from flows import tether
from tessera import settings
from tessera.errors import BadInput, OutOfSpace, TesseraError
from tessera.locks import taken
from tessera.outage import is_full
from tessera.workspace import Workspace

ROOM = 8_000_000  # bytes; a new server's own database takes five, and without room it logs nothing
# Of two to three hundred a day under `tessera up`; Prefect itself keeps them for ever.
RUNS_KEPT_DAYS = 90
START_SECONDS_MAX = 180  # an empty home takes about 15 s on two free cores
UI_PORT = 4200  # where people look for Prefect

# What only long-lived servers with schedules need.
IDLE_SERVICES = (
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "PAUSE_EXPIRATIONS",
    "CANCELLATION_CLEANUP",
    "REPOSSESSOR",
    "TRIGGERS",
)


class ServerFailed(TesseraError):
    """The Prefect server did not start, or went away."""


@dataclass(frozen=True)
class Server:
    """A Prefect server this process started."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api"


def keep_to(ws: Workspace) -> None:
    """To be called before Prefect is imported: importing it makes its folder, ~/.prefect unless
    it is told otherwise."""
    settings.overrule(folders(ws))


def folders(ws: Workspace) -> dict[str, str]:
    """Where Prefect keeps its things: in the home, and nowhere else."""
    folder = ws.home.prefect
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
    }


def variables(ws: Workspace, api: str) -> dict[str, str]:
    """What every Prefect process of this home is told: our folder, our server, no chatter."""
    folder = ws.home.prefect
    return {
        **folders(ws),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(RUNS_KEPT_DAYS * 86_400),
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # who presses the button does not wait for ten
        # The whole story goes to the server; the terminal hears of a failure in one sentence.
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "NO_PROXY": _no_proxy(),
        **{name: value for name, value in settings.QUIET.items() if "LOGGING_LEVEL" not in name},
    }


def environment(ws: Workspace, api: str) -> dict[str, str]:
    """The environment of a Prefect process of this home."""
    inherited = settings.environment(without=("PREFECT_",))
    return inherited | settings.as_environment(ws.settings) | variables(ws, api)


def _no_proxy() -> str:
    """Our server is on this machine; no proxy can reach it."""
    already = settings.environment().get("NO_PROXY", "")
    return ",".join(filter(None, [already, "127.0.0.1,localhost"]))


@contextmanager
def serving(
    ws: Workspace, *, meanwhile: Callable[[], object] = lambda: None, say: Callable[[str], None]
) -> Iterator[str]:
    """The API URL of this home's server, which is started and stopped here if none is up.

    `meanwhile` runs while a server starts (imports take as long); `say` hears of waiting.
    """
    found = users_own(ws) or _lock_or_find(ws, say)
    if isinstance(found, str):
        settings.overrule(variables(ws, found))
        with explained(found, ws.home.prefect):
            yield found
        return
    with (
        found,
        _started(ws, ui=False, meanwhile=meanwhile) as server,
        explained(server.api, ws.home.prefect),
    ):
        yield server.api


def users_own(ws: Workspace) -> str | None:
    """The API URL of a server the user keeps, if one is set; ServerFailed when it does not answer."""
    api = ws.settings.prefect_api_url
    if api and not is_healthy(api.rstrip("/")):
        raise ServerFailed(f"No Prefect server answers at {api}; check TESSERA_PREFECT_API_URL.")
    if api:
        _make_folder(ws)
    return api


@contextmanager
def explained(api: str, folder: Path) -> Iterator[None]:
    """Work whose server goes away, does not answer, or has no room in its `folder`, fails in one of Prefect's
    many ways; here it is one sentence."""
    try:
        yield
    except TesseraError:
        raise
    except Exception as error:
        if _is_servers(error, api) and shutil.disk_usage(folder).free < ROOM:
            raise OutOfSpace from error
        if is_full(error) or (is_healthy(api) and not _is_servers(error, api)):
            raise
        what = "cannot do its work" if is_healthy(api) else "went away"
        raise ServerFailed(
            f"The Prefect server at {api} {what}; run the same again, nothing is done twice."
        ) from error


def _is_servers(error: Exception, api: str) -> bool:
    """Whether a Prefect server said that the fault is its own, or the one at `api` did not answer in time."""
    if isinstance(error, httpx.TimeoutException):
        return str(error.request.url).startswith(api)
    return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error


@contextmanager
def keeping(ws: Workspace, *, port: int | None) -> Iterator[Server]:
    """A server with its UI, kept for others to find; BadInput when one is up already."""
    lock = _lock(ws)
    if lock is None:
        kept = kept_server(ws)
        raise BadInput(
            f"Tessera is up already for {ws.home.root}: {kept.removesuffix('/api')}."
            if kept
            else f"A run is under way in {ws.home.root}; say 'tessera up' when it is done."
        )
    record = _record(ws)
    with lock, _started(ws, ui=True, port=port) as server:
        record.write_text(json.dumps({"api": server.api}), encoding="utf-8")
        try:
            yield server
        finally:
            record.unlink(missing_ok=True)


def kept_server(ws: Workspace) -> str | None:
    """The API URL of the server `tessera up` keeps for this home, if it answers. What a kill left noted may
    be another home's by now."""
    try:
        api = str(json.loads(_record(ws).read_text(encoding="utf-8"))["api"])
    except (OSError, ValueError, KeyError):
        return None
    return api if _is_of(ws.home.prefect, api) else None


def is_healthy(api: str) -> bool:
    """Whether a Prefect server answers at `api`."""
    try:
        return httpx.get(f"{api}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _record(ws: Workspace) -> Path:
    return ws.home.prefect / "server.json"


def _make_folder(ws: Workspace) -> None:
    """Prefect's folder in the home; BadInput where it cannot be written."""
    try:
        ws.home.prefect.mkdir(parents=True, exist_ok=True)
        (ws.home.prefect / "server.lock").touch()
    except (PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise BadInput(
            f"The home {ws.home.root} cannot be written ({error.strerror}); choose another with "
            "--home or TESSERA_HOME."
        ) from None


def _lock(ws: Workspace) -> IO[bytes] | None:
    """The lock on this home's server, or None while another process holds it."""
    _make_folder(ws)
    return taken(ws.home.prefect / "server.lock")


def _lock_or_find(ws: Workspace, say: Callable[[str], None]) -> IO[bytes] | str:
    """The lock when nobody keeps a server, else the server of `tessera up`; another run that has
    a server to itself is waited for."""
    waiting = False
    while True:
        if (lock := _lock(ws)) is not None:
            return lock
        if (api := kept_server(ws)) is not None:
            return api
        if not waiting:
            say(f"another run is under way in {ws.home.root}; waiting for it")
            waiting = True
        time.sleep(0.2)


@contextmanager
def _started(
    ws: Workspace,
    *,
    ui: bool,
    port: int | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[Server]:
    server = _start(ws, port=free_port(UI_PORT if ui else 0) if port is None else port, ui=ui)
    try:
        settings.overrule(variables(ws, server.api))
        meanwhile()
        _wait_until_healthy(server)
        yield server
    finally:
        tether.stop(server.process)


def _start(ws: Workspace, *, port: int, ui: bool) -> Server:
    log = ws.home.prefect / "server.log"
    api = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT__SERVER_FINAL": "1", "PREFECT_SERVER_UI_ENABLED": str(ui).lower()}
    if not ui:
        own |= {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in IDLE_SERVICES}
    # `prefect server start` would stand between us and the server, so uvicorn is asked directly.
    process = tether.start(
        *(sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"),
        *f"--host 127.0.0.1 --port {port} --log-level error --lifespan on".split(),
        *("--timeout-graceful-shutdown", "2"),
        env=environment(ws, api) | own,
        output=log,
    )
    return Server(port, log, process)


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed("No TCP port is free on this machine.")


def _is_of(folder: Path, api: str) -> bool:
    """Whether the server at `api` keeps its things in `folder`: another home's may have taken the port, while
    ours was still starting or after it was killed."""
    try:
        told = httpx.get(f"{api}/admin/settings", timeout=5, trust_env=False).json()
        return Path(told["home"]) == folder
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (is_healthy(server.api) and _is_of(server.log.parent, server.api)):
        if server.process.poll() is not None or time.monotonic() > deadline:
            if shutil.disk_usage(server.log.parent).free < ROOM:
                raise OutOfSpace
            raise ServerFailed(
                f"The Prefect server did not start on port {server.port}; {server.log} says why."
            )
        time.sleep(0.1)
