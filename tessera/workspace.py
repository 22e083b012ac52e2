"""What every stage is given: the settings, the home, the store and the instant it acts as of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera import clock, settings
from tessera.errors import BadInput
from tessera.home import Home
from tessera.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tessera.store import Store


CAMPAIGNS = Path("deployments/campaigns")
PROGRAMME = Path("deployments/programme.yml")
NO_TIER = "basic"  # is the tier of who has none, to the models and the tills


@dataclass(frozen=True)
class Workspace:
    """One project home at one instant."""

    settings: Settings
    as_of: datetime  # UTC

    @cached_property
    def home(self) -> Home:
        return Home(self.settings.home.expanduser().resolve())

    @cached_property
    def store(self) -> Store:
        """The store, migrated to this version."""
        from tessera.store import Store  # what only reads files should not wait for its libraries

        return Store.open(self.settings.store_url or f"sqlite:///{self.home.store}")

    def marts(self) -> DuckDBPyConnection:
        """The published marts, with what DuckDB may take; BadInput when none are."""
        from tessera.warehouse import marts

        given = self.settings
        return marts.connect(self.home, memory=given.duckdb_memory, threads=given.threads)

    @property
    def business_date(self) -> date:
        """The shop's calendar date at `as_of`."""
        return clock.business_date(self.as_of, self.settings.timezone)

    @property
    def project(self) -> Path:
        return self.settings.project

    def campaigns(self) -> set[str]:
        """The names of the campaigns that have a file, sound or not."""
        return {file.stem for file in (self.project / CAMPAIGNS).glob("*.y*ml")}


def programme_as_written(project: Path) -> Mapping[str, Any]:
    """The loyalty programme's file; empty where there is none. What is wrong with it is said where it is
    read for good."""
    import yaml

    try:
        found = yaml.safe_load((project / PROGRAMME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def open_workspace(as_of: str | None = None, **overrides: object) -> Workspace:
    """The workspace of the settings in force; `as_of` as typed on the command line."""
    loaded = settings.load(**overrides)
    try:
        clock.zone(loaded.timezone)
    except BadInput as error:
        raise BadInput(f"TESSERA_TIMEZONE: {error}") from None
    if not loaded.project.is_dir():
        raise BadInput(
            f"TESSERA_PROJECT: there is no folder {loaded.project}; name the one of your checkout."
        )
    return Workspace(loaded, clock.parse_as_of(as_of, loaded.timezone))
