"""The operational store: one class, SQLite by default, PostgreSQL for more than one machine."""

from tessera.store.queries import queries
from tessera.store.store import Connection, Store, lost, why

__all__ = ["Connection", "Store", "lost", "queries", "why"]
