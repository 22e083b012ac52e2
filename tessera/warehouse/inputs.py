"""What a build is made from, and what the last green build was made from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from tessera import clock
from tessera.feeds import FEEDS
from tessera.home import Home
from tessera.parquet import is_whole

Files = dict[str, dict[int, str]]  # feed -> file_id -> size and time of its validated Parquet file


@dataclass(frozen=True)
class Inputs:
    """Two builds from equal inputs give the same marts."""

    project: str  # digest of the dbt project and of the settings it reads
    home: str  # where it lies: views name its files by their whole path
    as_of: str  # ISO 8601, UTC
    files: Files

    @property
    def digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def continues(self, earlier: Inputs) -> bool:
        """Whether everything `earlier` was made from is still here as it was, so that a build
        only has to add what is new."""
        return (self.project, self.home) == (earlier.project, earlier.home) and all(
            self.files.get(feed, {}).get(file_id) == stamp
            for feed, stamps in earlier.files.items()
            for file_id, stamp in stamps.items()
        )

    def new_files(self, earlier: Inputs) -> dict[str, list[int]]:
        """The files that `earlier` did not have, by feed; only feeds with any."""
        known = {feed: set(stamps) for feed, stamps in earlier.files.items()}
        new = {feed: sorted(set(ids) - known.get(feed, set())) for feed, ids in self.files.items()}
        return {feed: ids for feed, ids in new.items() if ids}


def spans(files: Iterable[int], some: Container[int]) -> list[tuple[int, int]]:
    """`some` of the `files`, which are in order, as the bounds of runs that have none of the others between:
    to be asked of each file, which a long list would make as many questions as files times files."""
    runs = [list(run) for is_in, run in groupby(files, some.__contains__) if is_in]
    return [(run[0], run[-1]) for run in runs]


def gather(home: Home, project: Path, *, as_of: datetime, settings: Mapping[str, object]) -> Inputs:
    """The inputs of a build as of `as_of`; `settings` are those that the dbt project reads."""
    files = {feed: _files(home.validated / feed) for feed in FEEDS}
    return Inputs(
        project=_digest(project, settings),
        home=str(home.root),
        as_of=as_of.isoformat(),
        files={feed: found for feed, found in files.items() if found},
    )


def _files(folder: Path) -> dict[int, str]:
    if not folder.is_dir():
        return {}
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            rows = Path(entry.path) / "rows.parquet"
            if entry.name.startswith("file_id=") and rows.exists():
                file_id = int(entry.name.removeprefix("file_id="))
                found[file_id] = stamp(rows)
    return dict(sorted(found.items()))


def stamp(path: Path) -> str:
    """Size and time of a file: another after whoever writes to it."""
    state = path.stat()
    return f"{state.st_size}-{state.st_mtime_ns}"


def _digest(project: Path, settings: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for folder in ("models", "macros", "tests", "seeds"):
        for path in sorted((project / folder).rglob("*.*")):
            digest.update(path.read_bytes())
    digest.update((project / "dbt_project.yml").read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Green:
    """The last green build: the warehouse and the files of its marts hold what it left if, and only
    if, its record exists.

    A build takes the record away before it begins and writes the new one after its last test, so
    a build that was killed or ended red is followed by one from scratch.
    """

    name: str  # of the build, and of the snapshot it publishes
    inputs: Inputs
    made: dict[str, str]  # model -> the build that last made it
    marts: list[str]  # the models that are published
    warehouse: str  # its stamp as the build left it
    report: dict[str, Any]

    @staticmethod
    def path(home: Home) -> Path:
        return home.dbt / "green.json"

    @classmethod
    def load(cls, home: Home) -> Green | None:
        """The record, or None when there is none or it cannot be read."""
        if not home.warehouse.exists():
            return None
        try:
            found = json.loads(cls.path(home).read_text(encoding="utf-8"))
            files = {
                feed: {int(file_id): stamp for file_id, stamp in stamps.items()}
                for feed, stamps in found["inputs"].pop("files").items()
            }
            green = cls(**{**found, "inputs": Inputs(**found["inputs"], files=files)})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        built = (home.built / f"{mart}.parquet" for mart in green.marts)
        return green if all(map(is_whole, built)) else None

    def save(self, home: Home) -> None:
        replace_text(self.path(home), json.dumps(asdict(self), indent=1))

    @classmethod
    def forget(cls, home: Home) -> None:
        cls.path(home).unlink(missing_ok=True)


def forget_warehouse(home: Home) -> None:
    """dbt's files go whole, also those that it could not open; what DuckDB deletes stays in its own.
    The next build makes them anew."""
    Green.forget(home)
    shutil.rmtree(home.built, ignore_errors=True)
    for file in (home.warehouse.resolve(), home.warehouse):  # it may lie on another disk
        for path in (file, file.with_name(f"{file.name}.wal")):
            if not path.is_symlink():
                path.unlink(missing_ok=True)


def build_name(inputs: Inputs, business_date: date, *, again: bool) -> str:
    """The same for equal inputs, unless the build is asked for `again`."""
    name = f"{business_date.isoformat()}-{inputs.digest}"
    return f"{name}-{clock.now():%Y%m%d%H%M%S}" if again else name


def replace_text(path: Path, text: str) -> None:
    """Write `text` beside `path`, then put it in its place: readers see the old or the new. What could not be
    written whole goes: who tries again on a full disk has another number, and would leave one each time."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
