"""Brings a store to this version's schema, one process at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect

MIGRATIONS = Path(__file__).parent / "migrations"


class LaterVersion(Exception):
    """The store was made by migrations that this version does not have."""


def upgrade(engine: Engine) -> None:
    """Run the migrations the store has not seen. Safe to call at every start and from many
    processes: the first takes the lock, the others find nothing to do. LaterVersion when the
    store has seen one that is not here."""
    if _current(engine) != _head():
        _migrate(engine)


def _head() -> str:
    """The last migration by its number, which begins its file's name."""
    return max(path.name for path in MIGRATIONS.glob("versions/*.py")).partition("_")[0]


def _current(engine: Engine) -> str | None:
    # To look takes no lock: on SQLite everybody who opens the store would wait for who writes.
    with engine.execution_options(reads_only=True).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("select version_num from alembic_version").scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command  # hardly ever needed, and slow to import
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("select pg_advisory_xact_lock(7355608)")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise LaterVersion from None
