"""Model: dbt builds the marts from the validated rows; a green build is published."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.clients import jinja
from dbt_common.exceptions import CompilationError
from prefect import flow

from flows.runtime import in_words, no_word_of_the_log
from tessera.errors import OutOfSpace, RedBuild, TesseraError
from tessera.home import Home
from tessera.know.profile import keep
from tessera.outage import is_full, says_full
from tessera.reward import programme, tiers
from tessera.warehouse import inputs as made_from
from tessera.warehouse import red
from tessera.warehouse.inputs import Green, Inputs
from tessera.warehouse.marts import undisturbed
from tessera.warehouse.packs import FEED, Lines, gather
from tessera.warehouse.publish import publish
from tessera.workspace import Workspace, open_workspace

NAMED_AT_MOST = 5
MODELS_AND_TESTS = ["--exclude-resource-type", "unit_test"]  # which `make test` runs
MACROS = {"macro", "materialization", "test", "data_test"}  # what their files are made of
FOR_THE_REPORT = "report"  # the tag of models that only people read
UNTESTED = ["--exclude-resource-type", "test", "--exclude", f"tag:{FOR_THE_REPORT}"]
TOTALS = ("lines", "superseded_lines", "baskets", "customers", "customers_with_purchases")


@dataclass(frozen=True)
class ModelReport:
    """What one build made and what the warehouse then held, in rows."""

    snapshot: str  # the name of the snapshot in force
    built: bool  # false when nothing had changed since
    full_refresh: bool  # whether everything was built from scratch
    models: int
    tests: int  # passed
    lines: int  # receipt lines in force
    superseded_lines: int
    baskets: int
    customers: int
    customers_with_purchases: int
    seconds: float
    warnings: list[str] = field(default_factory=list)  # of tests that may fail, a sentence each


@flow(name="model")
@in_words
def model(
    as_of: str | None = None, home: str | None = None, full_refresh: bool = False
) -> dict[str, Any]:
    """Build and publish the marts; raises RedBuild when a model or a test fails."""
    return asdict(build(open_workspace(as_of, home=home), full_refresh=full_refresh))


def build(ws: Workspace, *, full_refresh: bool = False, tested: bool = True) -> ModelReport:
    """Bring the warehouse up to the validated files and `ws.as_of`, and publish its marts.

    Only what is new is worked on if the last build ended green; else, or with `full_refresh`,
    everything is built from scratch. RedBuild if anything fails: the last snapshot stays in force.
    A simulation, whose rows were tested when they were real, goes without the data tests, and without
    what is made for the report, which nobody writes then.
    """
    started = time.monotonic()
    with undisturbed(ws.home):  # a second build waits, and then finds little to do
        inputs = _inputs(ws)
        lines = _lines(ws, inputs)
        green = Green.load(ws.home)
        built = full_refresh or green is None or green.inputs != inputs
        if built or green is None:
            green = _build(ws, inputs, lines, green, afresh=full_refresh, tested=tested)
        snapshot = _publish(ws, green, lines)
    seconds = round(time.monotonic() - started, 2)
    return ModelReport(snapshot=snapshot, built=built, seconds=seconds, **green.report)


def _inputs(ws: Workspace) -> Inputs:
    settings: dict[str, Any] = _rules(ws)
    del settings["tiers"]["since"]  # follows from the day, which the inputs have
    settings |= {"timezone": ws.settings.timezone, "language": ws.settings.language}
    return made_from.gather(ws.home, ws.project / "dbt", as_of=ws.as_of, settings=settings)


def _lines(ws: Workspace, inputs: Inputs) -> Lines:
    memory, threads = ws.settings.duckdb_memory, ws.settings.threads
    return gather(ws.home, inputs.files.get(FEED, {}), memory=memory, threads=threads)


def _build(
    ws: Workspace, inputs: Inputs, lines: Lines, green: Green | None, *, afresh: bool, tested: bool
) -> Green:
    """Build, from where `green` left off if that can be trusted; the record of the new build."""
    known = None if green is None or afresh or not _continues(ws, inputs, green) else green
    name = made_from.build_name(inputs, ws.business_date, again=afresh)
    if known is None:
        made_from.forget_warehouse(ws.home)
    Green.forget(ws.home)  # from here to the end the warehouse is nobody's
    ws.home.built.mkdir(exist_ok=True)
    with _dbt_let_go(), no_word_of_the_log():
        manifest = _parse(ws, inputs)
        selection = [*_selection(inputs, known), *([] if tested else UNTESTED)]
        results = _run(ws, manifest, selection, _variables(ws, inputs, lines, known, name))
    made = {r.node.name: name for r in results if r.node.resource_type == "model"}
    counts = Counter(str(r.node.resource_type) for r in results)
    report = {
        "full_refresh": known is None,
        "models": counts["model"],
        "tests": counts["test"],
        "warnings": [
            f"Test '{r.node.name}' warns: {_gist(r.message)}."
            for r in results
            if r.status == "warn"
        ],
        **_totals(ws),
    }
    new = Green(
        name,
        inputs,
        (known.made if known else {}) | made,
        _marts(manifest, tested),
        made_from.stamp(ws.home.warehouse),
        report,
    )
    new.save(ws.home)
    red.forget(ws.home)
    return new


def _continues(ws: Workspace, inputs: Inputs, green: Green) -> bool:
    """Whether the build can go on from where `green` left off. A warehouse that somebody wrote to, or has
    open, is left to them: a new one is made."""
    untouched = green.warehouse == made_from.stamp(ws.home.warehouse)
    if not untouched or not inputs.continues(green.inputs):
        return False
    try:
        duckdb.connect(str(ws.home.warehouse)).close()
    except duckdb.Error as error:
        if is_full(error):
            raise OutOfSpace from None
        return False
    return True


@contextmanager
def _dbt_let_go() -> Iterator[None]:
    """dbt keeps its DuckDB file locked for as long as the process lives, unless it is told. Only what it
    made itself is looked through for what it left, here and while it works."""
    gc.freeze()
    try:
        yield
    finally:
        DuckDBConnectionManager.close_all_connections()
        gc.collect()
        gc.unfreeze()


def _selection(inputs: Inputs, known: Green | None) -> list[str]:
    """What to build: all of it, or what a new day and new files can change. Views follow what they read, but
    for a feed's very first file, and for those that name its files."""
    if known is None:
        return ["--full-refresh", *MODELS_AND_TESTS]
    new = list(inputs.new_files(known.inputs))
    kinds = ["table", "replaced", "incremental", "published"]
    if any(feed not in known.inputs.files for feed in new):
        kinds.append("view")
    roots = ["tag:daily+", *(f"source:*.{feed}+" for feed in new)]
    nodes = [f"{root},config.materialized:{kind}" for root in roots for kind in kinds]
    return [*MODELS_AND_TESTS, "--select", "tag:names_files", *nodes]


def _variables(
    ws: Workspace, inputs: Inputs, lines: Lines, known: Green | None, name: str
) -> dict[str, Any]:
    files = {feed: list(its) for feed, its in inputs.files.items()}
    new = inputs.new_files(known.inputs) if known else files

    def moment(text: str) -> str:
        return text.replace("T", " ").removesuffix("+00:00")

    return {
        "warehouse": str(ws.home.warehouse),
        "spill": str(ws.home.dbt / "spill"),
        "published": str(ws.home.built),
        "memory": ws.settings.duckdb_memory,
        "threads": ws.settings.threads,
        "validated": str(ws.home.validated),
        "files": files,
        "new": new,
        "spans": {feed: made_from.spans(files[feed], set(its)) for feed, its in new.items()},
        "packs": {FEED: list(map(str, lines.packs))},
        "loose": {FEED: lines.loose},
        "as_of": moment(inputs.as_of),
        "known_as_of": moment(known.inputs.as_of) if known else "",
        "business_date": ws.business_date.isoformat(),
        "timezone": ws.settings.timezone,
        "language": ws.settings.language,
        "build": name,
        **_rules(ws),
    }


def _rules(ws: Workspace) -> dict[str, dict[str, Any]]:
    """What the models must know of the programme; a project without one has none."""
    has_one = (ws.project / programme.FILE).exists()
    own = programme.load(ws.project) if has_one else None
    zone = own.zone(ws.settings.timezone) if own else ws.settings.timezone
    worth = own.worth.told if own and own.worth else {"points": 1, "pays": 0, "expected": [1, 1]}
    return {
        "tiers": tiers.told(own, ws.business_date, zone),
        "worth": {
            "programme": own.programme if own else "none",
            "currency": own.currency if own else "any",
            **worth,
        },
    }


_PARSED: dict[tuple[str, str], Manifest] = {}  # of the last project this process built


def _parse(ws: Workspace, inputs: Inputs) -> Manifest:
    """The project, from dbt's cache when its files are as they were, or as this process knows it
    already, for whichever home. The run's own variables and the home's paths stay out of it: dbt would throw
    the cache away whenever one of them changes."""
    key = (_project(ws), inputs.project)
    if key not in _PARSED:
        _PARSED.clear()
        _PARSED[key] = _invoke(dbtRunner(), ws, ["parse"], {})
    return _PARSED[key]


def _run(
    ws: Workspace, manifest: Manifest, selection: list[str], variables: dict[str, Any]
) -> list[Any]:
    """The results of `dbt build`; RedBuild when any of them is not green."""
    return list(_invoke(dbtRunner(manifest), ws, ["build", *selection], variables).results)


def _invoke(dbt: dbtRunner, ws: Workspace, args: list[str], variables: dict[str, Any]) -> Any:
    project = _project(ws)
    answer = dbt.invoke(
        [
            *args,
            *("--project-dir", project, "--profiles-dir", project),
            *("--target-path", str(ws.home.dbt / "target"), "--log-path", str(_logs(ws.home))),
            *("--log-level", "none", "--log-level-file", "info", "--no-write-json"),
            *("--vars", json.dumps(variables)),
        ]
    )
    if answer.success:
        return answer.result
    if answer.exception is not None and not isinstance(answer.exception, Exception):
        raise answer.exception  # stopped by hand, which says nothing about the build
    raise _red(ws, answer.exception, getattr(answer.result, "results", ()))


def _project(ws: Workspace) -> str:
    """Where it really is: a scratch home's project is a link to another's."""
    return str((ws.project / "dbt").resolve())


def _logs(home: Home) -> Path:
    return home.dbt / "logs"


def _red(ws: Workspace, exception: BaseException | None, results: Iterable[Any]) -> TesseraError:
    """The sentence for what went wrong; OutOfSpace when it was the disk."""
    bad = [result for result in results if result.status in ("error", "fail", "runtime error")]
    if is_full(exception) or any(says_full(result.message or "") for result in bad):
        return OutOfSpace()
    named = [f"{r.node.resource_type} '{r.node.name}' ({_gist(r.message)})" for r in bad]
    if exception is not None:
        named.append(f"{_broken_macros(ws)}{_gist(str(exception))}")
    red.note(ws.home, ", ".join(f"{r.node.resource_type} {r.node.name}" for r in bad[:2]) or "dbt")
    more = f" and {len(named) - NAMED_AT_MOST} more" if len(named) > NAMED_AT_MOST else ""
    return RedBuild(
        f"The build is red, so nothing was published: {'; '.join(named[:NAMED_AT_MOST])}{more}. "
        f"The log is {_logs(ws.home) / 'dbt.log'}."
    )


def _broken_macros(ws: Workspace) -> str:
    """The file of the macros that dbt cannot read, which it does not name; nothing where it can read all."""
    for path in sorted((ws.project / "dbt" / "macros").rglob("*.sql")):
        try:
            text = path.read_text(encoding="utf-8")
            for block in jinja.extract_toplevel_blocks(text, MACROS, collect_raw_data=False):
                jinja.parse(block.full_block)
        except CompilationError:
            return f"macros/{path.name}: "
    return ""


GIST = 300  # letters


def _gist(message: str | None) -> str:
    """dbt's message on one line, without the file paths below it; of a long one its beginning and its end,
    where dbt says what is wrong with what it quotes."""
    lines = [line.strip() for line in (message or "no message").splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(("compiled code", "> ")))
    return said if len(said) <= GIST else f"{said[: GIST // 2]} … {said[-GIST // 2 :]}"


def _marts(manifest: Manifest, reported: bool) -> list[str]:
    """The models that are published: the contracted ones, but the lines, which are linked."""
    return sorted(
        node.name
        for node in manifest.nodes.values()
        if node.resource_type == "model"
        and "marts" in node.fqn
        and node.name != "transactions"
        and (reported or FOR_THE_REPORT not in node.tags)
    )


def _totals(ws: Workspace) -> dict[str, Any]:
    """Not by the warehouse, which whoever waited for it may have open by now."""
    (row,) = pq.read_table(ws.home.built / "model_totals.parquet", columns=list(TOTALS)).to_pylist()
    return dict(row)


def _publish(ws: Workspace, green: Green, lines: Lines) -> str:
    kept, finish = ws.settings.snapshots_kept_days, partial(keep, ws)
    return publish(ws.home, green, lines, kept_days=kept, finish=finish).name
