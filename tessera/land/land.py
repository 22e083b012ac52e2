"""The stage: every file at a path that the source's mapping knows, landed once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import duckdb

from tessera.errors import BadInput, Refused
from tessera.feeds import Feed
from tessera.land import convert, manifest, mapping, rows
from tessera.land.erased import Erased
from tessera.land.files import SourceFile, Unreachable, find
from tessera.land.manifest import Landing
from tessera.land.mapping import Beside, Entry, Mapping
from tessera.land.plan import Plan, Shapes, plan, wanted
from tessera.land.seen import Seen
from tessera.land.spool import Empty, Spooled, fetch, spool
from tessera.land.table import Table, open_table
from tessera.quoting import literal
from tessera.workspace import Workspace

BESIDE = "beside"  # where in the spool what lies beside a file is copied to
NOTHING = "{} has no rows for {}; there was nothing to land."
TOLD_AT_MOST = 10  # of the files that were refused
ENGINE = "engine"  # the source of the engine's own rows
Progress = Callable[[str, int, int], None]  # file, its number, how many


@dataclass(frozen=True)
class LandReport:
    """What one landing did. Rows are counted once per feed they went to."""

    source: str
    landed: int  # files that brought something new
    already_there: int  # files that brought nothing new
    ignored: tuple[str, ...]  # files that no pattern of the mapping takes
    refused: tuple[str, ...]  # one sentence each; nothing of these was landed
    notes: tuple[str, ...]  # sentences worth reading about the other files
    rows: int
    unreadable_rows: int  # rows with values that are not of their type: quarantine's business
    bytes: int  # of the landed files, as they lay there
    feeds: dict[str, int]  # rows by feed

    def raise_if_refused(self) -> None:
        """Refused with the sentences, when there are any; the first of many, which often say one thing."""
        if self.refused:
            more = len(self.refused) - TOLD_AT_MOST
            rest = (f"and {more:,} more; --json lists all.",) if more > 0 else ()
            raise Refused("\n       ".join((*self.refused[:TOLD_AT_MOST], *rest)))


@dataclass
class Outcome:
    """What became of one file."""

    file: SourceFile
    feeds: Counter[str] = field(default_factory=Counter)  # rows
    landed: int = 0  # feeds in which it was new
    left_out: int = 0  # rows that its feeds do not mean
    unreadable: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What landing a file takes."""

    ws: Workspace
    mapping: Mapping
    folder: Path
    shapes: Shapes
    erased: Erased | None  # whose rows are not wanted
    seen: Seen
    beside: dict[str, Spooled] = field(default_factory=dict)  # by path, as the spool has it

    @property
    def duck(self) -> duckdb.DuckDBPyConnection:
        return self.shapes.duck


def land(
    ws: Workspace, source: str, path: str | Path, *, progress: Progress | None = None
) -> LandReport:
    """Land every file at `path` (a file, a folder or any fsspec URL) that feeds something.

    A file that cannot be used is a sentence in the report and keeps no other from landing.
    BadInput when the mapping or the path is wrong, or nothing there is for this source.
    """
    known = mapping.load(ws.project, source)
    files, unreadable = find(str(path), ws.home.root)
    meant = [file for file in files if known.entries(file.name)]
    if not meant:
        raise BadInput(" ".join(unreadable) or _nothing_for(known, str(path), files))
    with spool(ws) as folder, _duck(ws, folder) as duck:
        seen = Seen.load(ws.home, source)
        bench = Bench(ws, known, folder, Shapes(duck), Erased.load(ws), seen)
        outcomes = []
        for number, file in enumerate(meant, start=1):
            if progress:
                progress(file.name, number, len(meant))
            outcomes.append(_land_file(bench, file))
        seen.keep()
    names = {file.name for file in meant} | {
        entry.name_beside(file.name) for file in meant for _, entry in known.entries(file.name)
    }
    ignored = tuple(file.shown for file in files if file.name not in names)
    return _report(source, outcomes, ignored, unreadable)


def land_engine(ws: Workspace) -> LandReport:
    """Land what the hear stage exported: the engine's own rows come back by the front door."""
    if next(ws.home.engine.glob("*/*.parquet"), None) is None:
        return _report(ENGINE, [], (), [])
    return land(ws, ENGINE, ws.home.engine)


def _nothing_for(known: Mapping, path: str, files: list[SourceFile]) -> str:
    patterns = sorted(
        {pattern for entries in known.feeds.values() for e in entries for pattern in e.files}
    )
    return (
        f"No file at {path} is for the source '{known.source}', which takes "
        f"{', '.join(patterns)}; there {'is' if len(files) == 1 else 'are'} {len(files)} in all."
    )


def _duck(ws: Workspace, folder: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB in UTC that spills beside the landing."""
    duck = duckdb.connect(
        config={
            "memory_limit": ws.settings.duckdb_memory,
            "threads": ws.settings.threads,
            "temp_directory": str(folder / "spill"),
            # It goes by path, time and size; what is spooled lies at one path, file after file.
            "enable_external_file_cache": False,
        }
    )
    duck.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")  # it would go to stdout
    duck.execute(convert.NEEDED)
    return duck


def _land_file(bench: Bench, file: SourceFile) -> Outcome:
    outcome = Outcome(file)
    try:
        file.check_name()
        known = bench.seen.content(file)
        if known and not any(True for _ in _wanting(bench, file, known)):
            return outcome
        spooled = _fetch(bench, file)
        if spooled.is_blank and _may_say_nothing(bench, outcome):
            return outcome
        wanting = list(_wanting(bench, file, spooled.content_hash))
    except Unreachable:
        raise  # trying the whole path again is safe, and will not help one file only
    except Empty as error:
        outcome.refused += [] if _may_say_nothing(bench, outcome) else [str(error)]
        return outcome
    except BadInput as error:
        outcome.refused.append(str(error))
        return outcome
    for feed, entry, key in wanting:
        try:
            _land_feed(bench, outcome, replace(spooled, content_hash=key), feed, entry)
        except BadInput as error:
            outcome.refused.append(str(error))
    return outcome


def _may_say_nothing(bench: Bench, outcome: Outcome) -> bool:
    """Whether a file without a byte, or a word, is all right: one that would name its columns first is not."""
    name, entries = outcome.file.name, bench.mapping.entries(outcome.file.name)
    if all(e.may_be_empty and (e.header or e.format_of(name) == "jsonl") for _, e in entries):
        outcome.notes += [NOTHING.format(name, feed.name) for feed, _ in entries]
        return True
    return False


def _fetch(bench: Bench, file: SourceFile, folder: str = "") -> Spooled:
    (bench.folder / folder).mkdir(exist_ok=True)
    spooled = fetch(file, bench.folder / folder)
    bench.seen.add(file, spooled)
    return spooled


def _wanting(bench: Bench, file: SourceFile, content: str) -> Iterator[tuple[Feed, Entry, str]]:
    """The feeds that have not taken this content yet, and under which key each will. With a file beside it
    the content is that of both."""
    source = bench.mapping.source
    for feed, entry in bench.mapping.entries(file.name):
        both = content
        if beside := entry.name_beside(file.name):
            both = sha256(f"{content} {_told(bench, file.beside(beside))}".encode()).hexdigest()
        key = manifest.key(bench.ws, source, feed.name, file.name, both, whole=entry.whole)
        if key:
            yield feed, entry, key


def _told(bench: Bench, other: SourceFile) -> str:
    """The content of what lies beside a file."""
    try:
        return bench.seen.content(other) or _beside(bench, other).content_hash
    except Empty as error:  # of what tells more of rows, no byte is never all right
        raise BadInput(str(error)) from error


def _beside(bench: Bench, other: SourceFile) -> Spooled:
    """A copy of what lies beside a file; the spool has room for one."""
    if other.path not in bench.beside:
        bench.beside.clear()
        bench.beside[other.path] = _fetch(bench, other, BESIDE)
    return bench.beside[other.path]


def _land_feed(bench: Bench, outcome: Outcome, spooled: Spooled, feed: Feed, entry: Entry) -> None:
    file, target = outcome.file, bench.folder / "rows"
    count = _convert(bench, outcome, spooled, target, (feed, entry))
    if count == 0 and not entry.may_be_empty and not outcome.left_out:
        has = "names its columns and has" if entry.header is None else "has"
        raise BadInput(f"{file.name} {has} no rows; export it again.")
    if count == 0:
        outcome.notes.append(NOTHING.format(file.name, feed.name))
        return
    left_out = bench.erased.leave_out(bench.duck, feed, target) if bench.erased else 0
    if left_out:
        count = _count(bench.duck, target)
        outcome.notes.append(f"{file.name}: rows of people who were erased: {left_out:,}.")
        if count == 0:
            return
    unreadable = _unreadable(bench.duck, target)
    landing = Landing(
        bench.mapping.source,
        feed.name,
        spooled.content_hash,
        file.name,
        count,
        spooled.bytes,
        left_out,
    )
    if manifest.commit(bench.ws, landing, target) is not None:
        outcome.landed += 1
        outcome.feeds[feed.name] += count
        outcome.unreadable += unreadable


def _convert(
    bench: Bench, outcome: Outcome, spooled: Spooled, target: Path, meant: tuple[Feed, Entry]
) -> int:
    """Write the feed's rows to `target`; how many. BadInput when the file is not what it should be."""
    duck, file, (feed, entry) = bench.duck, outcome.file.name, meant
    try:
        table = _open(bench, outcome, spooled, entry)
        size = spooled.path.stat().st_size
        planned = plan(bench.shapes, table, feed, bench.mapping, entry, file=file, size=size)
        return _write(duck, planned, target)
    except duckdb.Error as error:
        if _is_ours(error):
            raise
        raise BadInput(
            f"{file} cannot be read for {feed.name}: {_first_line(error)}; check it, and the mapping."
        ) from error


def _open(bench: Bench, outcome: Outcome, spooled: Spooled, entry: Entry) -> Table:
    """The rows of the file that `entry` means, with what lies beside it."""
    table = _read(bench, outcome, spooled, entry, outcome.file.name)
    if entry.beside:
        table = _with_beside(bench, outcome, table, entry, entry.beside)
    if entry.each:
        column = rows.find(table, entry.each, file=outcome.file.name, key="each")
        table = rows.spread(table, column, in_order=entry.beside is None)  # which a join is not
    if entry.where:
        table = _without(bench, outcome, table, entry.where)
    return table


def _read(bench: Bench, outcome: Outcome, spooled: Spooled, entry: Entry, file: str) -> Table:
    table = open_table(bench.duck, spooled, entry, file=file, wanted=wanted(entry))
    if table.text and table.text.guessed:
        outcome.notes.append(
            f"{file} is not UTF-8; it was read as {table.text.encoding}, which is a guess: "
            "write 'encoding:' in the mapping to be sure."
        )
    return table


def _with_beside(
    bench: Bench, outcome: Outcome, table: Table, entry: Entry, beside: Beside
) -> Table:
    file = outcome.file
    other = file.beside(str(entry.name_beside(file.name)))
    told = entry.model_copy(update={"header": beside.header, "skip": 0})
    heads = _read(bench, outcome, _beside(bench, other), told, other.name)
    key = {
        rows.find(table, own, file=file.name, key="beside"): rows.find(
            heads, theirs, file=other.name, key="beside"
        )
        for own, theirs in beside.key.items()
    }
    if lonely := _counted(bench, lambda own, its: rows.lonely(own, its, key), table, heads):
        said = f"rows of {other.name} that no row here belongs to: {lonely:,}."
        outcome.notes.append(f"{file.name}: {said}")
    return rows.joined(table, heads, key)


def _without(bench: Bench, outcome: Outcome, table: Table, condition: str) -> Table:
    """The rows of which `condition` is not false."""
    file = outcome.file.name
    try:
        bench.shapes.tried(table, condition)
    except LookupError as error:
        rows.find(table, str(error.args[0]), file=file, key="where")
        raise
    except ValueError as error:
        raise BadInput(f"'where' does not work on {file}: {error}") from error
    if left_out := _counted(bench, lambda own: rows.left_out(own, condition), table):
        outcome.left_out += left_out
        outcome.notes.append(f"{file}: rows left out by 'where': {left_out:,}.")
    return rows.kept(table, condition)


def _counted(bench: Bench, query: Callable[..., str], *tables: Table) -> int:
    """The one number that `query` asks of the tables, read carefully where they break the rules of CSV."""
    try:
        row = bench.duck.execute(query(*tables)).fetchone()
    except duckdb.InvalidInputException:
        row = bench.duck.execute(query(*map(rows.read_carefully, tables))).fetchone()
    return int(row[0]) if row else 0


def _write(duck: duckdb.DuckDBPyConnection, planned: Plan, target: Path) -> int:
    """The fast reading, and when the file breaks the rules of CSV somewhere, the careful one."""
    try:
        return convert.write(duck, planned, target)
    except duckdb.InvalidInputException:
        if planned.table.careful is None:
            raise
        return convert.write(duck, replace(planned, table=planned.table.careful()), target)


def _is_ours(error: duckdb.Error) -> bool:
    """Whether our own disk is to blame rather than the file."""
    return isinstance(error, duckdb.IOException) and any(
        words in str(error).lower() for words in ("no space left", "too large", "could not write")
    )


def _first_line(error: duckdb.Error) -> str:
    """The error without the values it quotes: they may be somebody's name."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return "it needs more memory than TESSERA_DUCKDB_MEMORY allows"
    return re.sub(r"'[^']*'", "'…'", str(error).splitlines()[0].rstrip("."))


def _unreadable(duck: duckdb.DuckDBPyConnection, parquet: Path) -> int:
    return _count(duck, parquet, "_cast_errors")


def _count(duck: duckdb.DuckDBPyConnection, parquet: Path, what: str = "*") -> int:
    row = duck.execute(
        f"select count({what}) from read_parquet({literal(str(parquet))})"
    ).fetchone()
    return int(row[0]) if row else 0


def _report(
    source: str, outcomes: list[Outcome], ignored: tuple[str, ...], unreadable: list[str]
) -> LandReport:
    feeds: Counter[str] = Counter()
    for outcome in outcomes:
        feeds.update(outcome.feeds)
    landed = [outcome for outcome in outcomes if outcome.landed]
    return LandReport(
        source=source,
        landed=len(landed),
        already_there=sum(not (o.landed or o.refused) for o in outcomes),
        ignored=ignored,
        refused=(*unreadable, *(said for o in outcomes for said in o.refused)),
        notes=tuple(said for o in outcomes for said in _notes(o)),
        rows=sum(feeds.values()),
        unreadable_rows=sum(o.unreadable for o in landed),
        bytes=sum(o.file.bytes or 0 for o in landed),
        feeds=dict(feeds),
    )


def _notes(outcome: Outcome) -> Iterator[str]:
    yield from dict.fromkeys(outcome.notes)
    if outcome.unreadable:
        yield (
            f"{outcome.file.name}: rows with values that are not of their type: "
            f"{outcome.unreadable:,}. They are kept; validation quarantines them with their reasons."
        )
