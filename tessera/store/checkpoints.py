"""SQLite's write-ahead log, copied into the database's file beside the work.

Left alone, the commit that fills the log copies it, and whoever waits for that commit waits for the
disk: a till some 50 to 200 ms, at several hundred redemptions a second one in twenty, and a night after
each of its chunks.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import cast

from sqlalchemy import PoolProxiedConnection, event

from tessera.store.store import LOG_PAGES, Store

LOG = logging.getLogger("tessera.store")
EVERY_SECONDS = 0.2


@contextmanager
def beside(store: Store) -> Iterator[None]:
    """Meanwhile a thread copies the log, and no commit does; PostgreSQL does so on its own. What it has not copied at
    the end whoever commits next does, or closes the store: nobody waits for it."""
    if store.engine.dialect.name != "sqlite":
        yield
        return
    done = threading.Event()
    with closing(store.engine.raw_connection()) as connection:
        driver = cast("sqlite3.Connection", connection.driver_connection)
        copy = partial(_copy, connection, done)
        thread = threading.Thread(target=copy, name="checkpoints", daemon=True)
        with commits_that_copy_nothing(store):
            thread.start()
            try:
                yield
            finally:
                done.set()
                while thread.is_alive():
                    driver.interrupt()  # a copy that is under way
                    thread.join(0.01)


@contextmanager
def commits_that_copy_nothing(store: Store) -> Iterator[None]:
    """Of connections that are taken meanwhile: whoever commits next copies the log, or closes the store."""
    if store.engine.dialect.name != "sqlite":
        yield
        return

    def leave_the_log(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("pragma wal_autocheckpoint = 0")

    def as_before(connection: sqlite3.Connection | None, *_: object) -> None:
        if connection is not None:  # else it broke
            connection.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")

    told: dict[str, Callable[..., None]] = {"checkout": leave_the_log, "checkin": as_before}
    for when, tell in told.items():
        event.listen(store.engine, when, tell)
    try:
        yield
    finally:
        for when, tell in told.items():
            event.remove(store.engine, when, tell)


def _copy(connection: PoolProxiedConnection, done: threading.Event) -> None:
    with closing(connection.cursor()) as log:
        while not done.wait(EVERY_SECONDS):
            try:  # `passive` waits for nobody and makes nobody wait
                log.execute("pragma wal_checkpoint(passive)")
                log.fetchall()
            except sqlite3.Error as error:  # a full disk, say: the log keeps all, and we try again
                if not done.is_set():
                    LOG.warning("The store's log cannot be copied: %s", error)
