"""SQLite's write-ahead log, copied into the database's file beside the work.

Left alone, the commit that fills the log copies it, and whoever waits for that commit waits for the
disk: a till some 50 to 200 ms, at several hundred redemptions a second one in twenty.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tessera.store.store import Store

LOG = logging.getLogger("tessera.store")
EVERY_SECONDS = 0.2


@contextmanager
def beside(store: Store) -> Iterator[None]:
    """Meanwhile a thread copies the log; PostgreSQL does so on its own."""
    if store.engine.dialect.name != "sqlite":
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_copy, args=(store, done), name="checkpoints", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _copy(store: Store, done: threading.Event) -> None:
    with closing(store.engine.raw_connection()) as connection, closing(connection.cursor()) as log:
        while not done.wait(EVERY_SECONDS):
            try:  # `passive` waits for nobody and makes nobody wait
                log.execute("pragma wal_checkpoint(passive)")
                log.fetchall()
            except sqlite3.Error as error:  # a full disk, say: the log keeps all, and we try again
                LOG.warning("The store's log cannot be copied: %s", error)
