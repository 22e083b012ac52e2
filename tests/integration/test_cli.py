"""The command line as a whole: help, sentences instead of tracebacks, and a light start."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import typer
from prefect import Flow
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from flows.runtime import in_words
from tessera.cli import app as cli
from tessera.cli.app import app
from tessera.cli.options import only_the_answer, print_json
from tessera.errors import BadInput, OutOfSpace
from tessera.settings import CHECKOUT
from tessera.store import Store
from tests.conftest import BOTH_STORES

HEAVY = {
    "prefect",
    "dbt",
    "great_expectations",
    "duckdb",
    "pyarrow",
    "pandas",
    "sqlalchemy",
    "splink",
    "jinja2",
}
ON_FILES = {f"know evaluate {what}" for what in ("value", "recommend", "uplift", "lift")}
WITHOUT_HOME = {
    "campaign schema",
    "programme schema",
    "fake-provider",
    "make-shop",
    *ON_FILES,
}  # know of none
WITHOUT_JSON = {
    "campaign schema",
    "programme schema",
    "till openapi",
    "fake-provider",
    "up",
    "web",
}  # is JSON; run until stopped


def commands() -> dict[str, Any]:
    """Every command and sub-command by what is typed, such as 'quarantine list'."""
    return dict(below("", typer.main.get_command(app)))


def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word, one in (inner or {}).items():
        yield from below(f"{name} {word}".strip(), one)


COMMANDS = commands()


def tessera(*words: str, home: Path | None = None, **variables: str) -> Any:
    """The real command in a process of its own, with no settings but those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TESSERA_", "PREFECT_"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name("tessera")), *words],
        env=inherited | variables | ({"TESSERA_HOME": str(home)} if home else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    example = " ".join(result.stdout.split("Example:")[1].split())
    assert f"tessera {command}" in example


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - WITHOUT_HOME))
def test_every_command_takes_a_home(command: str) -> None:
    assert "--home" in {option for param in COMMANDS[command].params for option in param.opts}


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_every_command_that_ends_can_answer_in_json(command: str) -> None:
    assert "--json" in {option for param in COMMANDS[command].params for option in param.opts}


def test_the_module_is_the_command() -> None:
    words = [sys.executable, "-m", "tessera", "campaign", "schema"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, tessera("campaign", "schema").stdout)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tessera', '--help']\n"
        "from tessera.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.exit(', '.join(sorted({HEAVY} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "make-shop" in done.stdout


def test_what_others_print_meanwhile_does_not_come_into_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with only_the_answer():
        sys.stdout.write("12:00:00  dbt has a word to say\n")
    print_json({"a": 1})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert "dbt" in err


def test_an_unknown_command_is_one_sentence() -> None:
    done = tessera("pln")
    assert done.returncode == 2
    assert "No such command 'pln'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--as-of", "31/02/2026"], "'31/02/2026' is not a date"),
        (["run", "--messenger", "pigeon"], "'pigeon', which will not do"),
        (["report", "--as-of", "soon"], "'soon' is not a date"),
        (["audit", "--since", "2026-02-31"], "--since '2026-02-31' is not a date"),
    ],
)
def test_a_mistake_is_one_sentence_and_touches_nothing(
    words: list[str], says: str, tmp_path: Path
) -> None:
    done = tessera(*words, home=tmp_path / "home")
    assert done.returncode == 3
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for words in (["run"], ["up"]):
        done = tessera(*words, home=tmp_path / "file" / "home")
        assert done.returncode == 3
        assert "cannot be written (Not a directory)" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def on_a_disk(
    disk: Path, *command: str, size: str = "0", then: str = "true", **options: Any
) -> subprocess.CompletedProcess[str]:
    """The command, run while a disk of its own is mounted there, after `then`; 0 is without bounds."""
    disk.mkdir()
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={size} tmpfs '{disk}' && {then}"
    if subprocess.run([*apart, mount], check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    typed = f"{mount} && {shlex.join([sys.executable, *command])}"
    return subprocess.run([*apart, typed], capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("words", [["run"], ["land", "made_up_shop", "."]])
def test_a_home_on_a_disk_that_is_only_read_is_one_sentence(
    words: list[str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    (tmp_path / "stores.csv").write_text("store_id\nS1\n", encoding="utf-8")
    store = f"sqlite:///{tmp_path}/store.sqlite"
    done = on_a_disk(
        disk, "-m", "tessera", *words, "--home", str(disk / "home"),
        then=f"mkdir -p '{disk}/home/landing' && mount -o remount,ro '{disk}'",
        cwd=tmp_path, env={**os.environ, "TESSERA_STORE_URL": store},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "Read-only file system" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "room"), [(["quarantine", "list"], "256k"), (["run"], "1m"), (["model"], "2500k")]
)
def test_a_full_disk_is_one_sentence_whatever_has_no_room(
    words: list[str], room: str, tmp_path: Path
) -> None:
    """The store, Prefect's server, the warehouse and dbt's log."""
    disk = tmp_path / "disk"
    command = ["-m", "tessera", *words] if words != ["model"] else ["-c", MODEL]
    done = on_a_disk(
        disk, *command, size=room, env={**os.environ, "TESSERA_HOME": str(disk / "home")}
    )
    assert done.stderr == f"error: {OutOfSpace()}\n"
    assert done.returncode == OutOfSpace.exit_code


MODEL = """
from flows.model import build
from tessera.cli import app
from tessera.workspace import open_workspace
app.app = lambda: build(open_workspace("2026-03-31"))
app.main()
"""
LOSE = {
    "sqlite": "pragma query_only = on",
    "postgresql": "select pg_terminate_backend(pg_backend_pid())",
}
OF_LOSS = {"sqlite": "attempt to write a readonly database", "postgresql": "connection"}


@BOTH_STORES
def test_a_store_that_goes_away_under_the_work_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        with store.write() as connection:
            connection.run(LOSE[connection.dialect])
            connection.run("delete from audit")

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 3
    assert said.startswith("error: The store cannot be used any more: ")
    assert OF_LOSS[store.engine.dialect.name] in said
    assert len(said.splitlines()) == 1


@BOTH_STORES
def test_a_flow_under_which_the_store_goes_away_says_the_same(store: Store) -> None:
    """On Prefect's pages, where nobody looks for a driver's words."""

    @in_words
    def work() -> None:
        with store.write() as connection:
            connection.run(LOSE[connection.dialect])
            connection.run("delete from audit")

    with pytest.raises(BadInput, match=r"^The store cannot be used any more: .*Run the same"):
        work()


def test_every_flow_says_what_gave_way_in_words() -> None:
    names = [
        path.stem for path in (CHECKOUT / "flows").glob("*.py") if "@flow(" in path.read_text()
    ]
    modules = [import_module(f"flows.{name}") for name in names]
    flows = {one for module in modules for one in vars(module).values() if isinstance(one, Flow)}
    assert len(flows) >= len(names) > 1
    assert [one.name for one in flows if not hasattr(one.fn, "__wrapped__")] == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("transaction read only", "cannot execute DELETE in a read-only transaction"),
        ("local role pg_monitor", "permission denied for table audit"),
    ],
)
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_that_only_reads_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    setting: str, said: str,
) -> None:  # fmt: skip
    """As a standby does after a failover, a hosted server whose disk is nearly full, and one on which
    the tables are another role's."""

    def work() -> None:
        with store.write() as connection:
            connection.run(f"set {setting}")
            connection.run("delete from audit")

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err == (
        f"error: The store cannot be used any more: {said}. Run the same command again once it can.\n"
    )


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("statement_timeout", "canceling statement due to statement timeout"),
        (
            "idle_in_transaction_session_timeout",
            "terminating connection due to idle-in-transaction timeout",
        ),
    ],
)
@pytest.mark.parametrize("opening", ["read", "write"])
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_that_allows_little_time_is_one_sentence(  # noqa: PLR0917
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, opening: str, limit: str, said: str,
) -> None:  # fmt: skip
    def work() -> None:
        with getattr(store, opening)() as connection:
            connection.run(f"set local {limit} = '50ms'")
            time.sleep(0.2)
            connection.scan(
                "select cast(pg_sleep(0.2) as text) as it", pa.schema({"it": pa.string()})
            )

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err == (
        f"error: The store cannot be used any more: {said}. Allow its role more time ({limit}) and run "
        "the same command again.\n"
    )
    assert caplog.records == []
    with store.read() as connection:
        assert connection.scalar("select 1") == 1


@pytest.mark.parametrize("said", ["No space left on device", "Aucun espace disponible"])
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_full_disk_of_the_server_is_not_told_as_our_own(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """In whatever language."""

    def work() -> None:
        with store.write() as connection:  # what its storage raises when it cannot extend a file
            connection.run(f"do $$ begin raise disk_full using message = '{said}'; end $$")

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == OutOfSpace.exit_code
    assert capsys.readouterr().err == (
        "error: The disk of the PostgreSQL server is full; free some space and run the same command "
        "again.\n"
    )


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        ("marts", "Delete the home's folder dbt/, and 'tessera run' makes it anew."),
        ("validated", "Delete it, and 'tessera run' makes it anew from landing/."),
        ("decisions", "Put it back from a copy."),
    ],
)
def test_a_file_that_is_damaged_inside_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    folder: str, advice: str,
) -> None:  # fmt: skip
    path = tmp_path / folder / "rows.parquet"
    path.parent.mkdir()
    duckdb.sql(f"copy (select 'name ' || hash(i) as name from range(9999) made (i)) to '{path}'")
    content = path.read_bytes()
    path.write_bytes(content[:999] + b"\xff" * 99 + content[1098:])
    monkeypatch.setattr(
        cli, "app", lambda: duckdb.sql(f"select max(name) from '{path}'").fetchall()
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == BadInput.exit_code
    assert said.startswith(f"error: {path} is damaged (")
    assert said.endswith(f"). {advice}\n")
    assert len(said.splitlines()) == 1


def test_a_store_whose_file_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    Store.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as store, path.open("r+b") as file:
        (size,) = store.execute("pragma page_size").fetchone()
        found = store.execute("select rootpage from sqlite_master where name = 'audit'")
        file.seek((found.fetchone()[0] - 1) * size)
        file.write(b"\xff" * size)
    told = tessera("audit", home=tmp_path, TESSERA_STORE_URL=f"sqlite:///{path}")
    assert told.returncode == 3
    assert told.stderr.startswith("error: The store cannot be used any more: ")
    assert "malformed" in told.stderr
    assert len(told.stderr.splitlines()) == 1


@BOTH_STORES
def test_a_wrong_statement_is_a_bug_and_no_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        with store.read() as connection:
            connection.all("select nothing from nowhere")

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(DBAPIError, match="nowhere"):
        cli.main()


@pytest.mark.parametrize(
    "words", [["ledger", "balance", "K1"], ["quarantine", "list"], ["plan"], ["doctor"]]
)
def test_a_home_below_a_file_is_one_sentence_for_every_command(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    done = tessera(*words, home=tmp_path / "file" / "home")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stdout + done.stderr


def test_going_back_from_quarantine_leaves_the_user_s_own_folder_alone(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.mkdir()
    done = tessera("quarantine", "retry", home=tmp_path / "home", HOME=str(user))
    assert "Traceback" not in done.stderr
    assert list(user.iterdir()) == []


def test_a_zone_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = tessera("report", home=tmp_path / "home", TESSERA_TIMEZONE="Mars/Olympus")
    assert done.returncode == 3
    assert done.stderr == (
        "error: TESSERA_TIMEZONE: 'Mars/Olympus' is not a time zone; use an IANA name such as Europe/Athens.\n"
    )


def test_prefect_is_told_to_be_quiet_before_it_is_imported() -> None:
    """Its telemetry is asked for at import; a variable that is set later comes too late."""
    code = (
        "import os, flows; assert os.environ['DO_NOT_TRACK'] == '1'; import flows.hear\n"
        "from prefect._internal.analytics.enabled import is_telemetry_enabled as asks\n"
        "assert not asks()"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"CI", "DO_NOT_TRACK"}}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
