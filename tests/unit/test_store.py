"""The store behaves alike on SQLite and PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from tessera.errors import BadInput
from tessera.store import Connection, Store, bulk, checkpoints, migrate, queries
from tessera.store import store as store_module
from tests.conftest import BOTH_STORES

ROW = {"address_hash": "a", "channel": "email", "scope": "all", "cause": "x", "since": "t"}
ACCOUNT = {"programme": "p", "owner_type": "system", "owner_id": "x", "bucket": "issuance"}
TRANSFER = (
    "insert into transfer (programme, idem_key, kind, debit_id, credit_id, amount, source_type, "
    "source_id, rule, rule_version, effective_at, posted_at, business_date) values ('p', 'k', "
    "'earn', 1, 2, :amount, 's', 's', 'r', '1', 't', 't', 'd')"
)


def account(connection, owner: str) -> None:
    connection.run(
        "insert into account (programme, owner_type, owner_id, bucket, balance) "
        "values ('p', 'member', :owner, 'available', 0)",
        owner=owner,
    )


@BOTH_STORES
def test_a_list_is_a_table_without_a_name_of_its_own(store: Store) -> None:
    """A subquery wants one before PostgreSQL 16: on 15 nothing was sent."""
    with store.read() as connection:
        listed = connection.listed("names")
        assert not listed.startswith("(")
        for table in (listed, f"{listed} as name"):
            rows = connection.all(f"select value from {table} order by value", names='["a", "b"]')
            assert [row["value"] for row in rows] == ["a", "b"]


@BOTH_STORES
def test_bulk_insert_adds_only_what_is_new(store: Store) -> None:
    rows = pa.Table.from_pylist([ROW, {**ROW, "address_hash": "b"}])
    with store.write() as connection:
        assert connection.insert_new("suppression", rows) == 2
        assert connection.insert_new("suppression", rows) == 0
        more = pa.Table.from_pylist([ROW, {**ROW, "address_hash": "c"}])
        assert connection.insert_new("suppression", more) == 1


@BOTH_STORES
def test_bulk_insert_keeps_every_text_and_null_as_it_is(store: Store) -> None:
    texts = ["", '"', "a,b", "two\nlines", "\\N", "\\.", "тест", "null", "%s :name"]
    rows = [{**ROW, "address_hash": str(at), "cause": said} for at, said in enumerate(texts)]
    with store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist(rows))
        found = connection.all("select cause from suppression order by address_hash")
        connection.insert_new("account", pa.Table.from_pylist([{**ACCOUNT, "balance": None}]))
        assert connection.all("select balance from account") == [{"balance": None}]
    assert found == [{"cause": said} for said in texts]


@BOTH_STORES
def test_bulk_insert_keeps_what_all_rows_or_all_but_some_have_alike(store: Store) -> None:
    said = [("", ""), ("o'neil ?", "o'neil ?"), ("%s :name\n", "%s :name\n"), ("a", "b")]
    with store.write() as connection:
        if connection.dialect == "sqlite":  # PostgreSQL has no such text
            said.append(("x\0y", "x\0y"))
        for at, (ends, others) in enumerate(said):
            causes = [ends, *[others] * (store_module.BULK - 2), ends]
            rows = [
                {**ROW, "address_hash": f"{n:04}", "scope": str(at), "cause": cause}
                for n, cause in enumerate(causes)
            ]
            assert connection.insert_new("suppression", pa.Table.from_pylist(rows)) == len(rows)
            query = "select cause from suppression where scope = :scope order by address_hash"
            assert [row["cause"] for row in connection.all(query, scope=str(at))] == causes
        balances = [None, *[0] * store_module.BULK, None]
        accounts = [
            {**ACCOUNT, "owner_id": f"{n:04}", "balance": b} for n, b in enumerate(balances)
        ]
        connection.insert("account", pa.Table.from_pylist(accounts))
        found = connection.all("select balance from account order by owner_id")
    assert [row["balance"] for row in found] == balances


@BOTH_STORES
def test_bulk_insert_takes_columns_whose_words_go_by_number(store: Store) -> None:
    """Also when a table has several chunks, each with words of its own."""
    words = [pa.array(its).dictionary_encode() for its in (["a", "", "a"], ["b", "a"])]
    columns = {name: pa.chunked_array(words).cast(pa.string()) for name in ROW}
    columns |= {"address_hash": list("12345"), "cause": pa.chunked_array(words)}
    owners = pa.array(["x", None]).dictionary_encode()
    with store.write() as connection:
        connection.insert_new("suppression", pa.table(columns))
        found = connection.all("select cause from suppression order by address_hash")
        assert [row["cause"] for row in found] == ["a", "", "a", "b", "a"]
        with pytest.raises(DBAPIError):  # nothing is no word
            connection.insert_new("suppression", pa.table({"address_hash": owners, "channel": owners,
                                  "scope": owners, "cause": owners, "since": owners}))  # fmt: skip


@BOTH_STORES
def test_what_all_rows_of_a_large_insert_say_comes_as_it_is(store: Store) -> None:
    count, said = store_module.BULK + 1, "it's one, ? and :name, 5 %"
    words = pa.DictionaryArray.from_arrays([0] * count, ["email"])
    nearly = ["a"] * (count - 2) + ["b", "a"]
    names = [str(i) for i in range(count)]
    found = pa.table({"address_hash": names, "channel": words, "scope": [said] * count,
                      "cause": nearly, "since": ["t"] * count})  # fmt: skip
    accounts = {name: [its] * count for name, its in ACCOUNT.items()}
    accounts |= {"owner_id": names, "balance": pa.nulls(count, pa.int64())}
    with store.write() as connection:
        assert connection.insert_new("suppression", found) == count
        assert connection.insert_new("suppression", found) == 0
        assert connection.insert_new("account", pa.table(accounts)) == count
        kinds = "select channel, scope, cause, since, count(*) as n from suppression group by 1, 2, 3, 4 order by n"
        one = {"channel": "email", "scope": said, "since": "t"}
        assert connection.all(kinds) == [
            one | {"cause": "b", "n": 1}, one | {"cause": "a", "n": count - 1}
        ]  # fmt: skip
        assert connection.scalar("select count(*) from account where balance is null") == count
    if store.engine.dialect.name == "sqlite":
        zero = found.set_column(3, "cause", [["a\0b"] * count])
        with store.write() as connection:
            connection.insert_new("suppression", zero)
            assert (
                connection.scalar("select max(length(cast(cause as blob))) from suppression") == 3
            )


@pytest.mark.parametrize("size", [0, 1 << 40], ids=["large", "small"])
@BOTH_STORES
def test_a_scan_brings_what_a_query_does(
    store: Store, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.store.store.LARGE", size)
    texts = [None, "", 'a "quoted", b', "two\nlines", "null", "Ω:x", "100 %"]
    rows = [
        {**ROW, "address_hash": f"h{i}", "cause": cause or "", "since": cause or "t"}
        for i, cause in enumerate(texts)
    ]
    schema = pa.schema([("cause", pa.string()), ("n", pa.int64()), ("none", pa.string())])
    query = (
        "select nullif(cause, :gone), length(cause), cast(null as text) from suppression "
        "where :all and cause <> :other order by address_hash desc"
    )
    given = {"gone": "null", "other": "100 %", "all": True}
    with store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist(rows))
    with store.write() as connection:
        found = connection.scan(query, schema, **given)
        assert found.schema == schema
        assert found.equals(connection.arrow(query, schema, **given))
        assert found["cause"].to_pylist() == ["Ω:x", None, "two\nlines", 'a "quoted", b', "", ""]
        assert connection.scan(f"{query} limit 0", schema, **given).num_rows == 0
        assert connection.scan(query, schema, **given).equals(found)
        with pytest.raises((OSError, DBAPIError), match="nothing"):
            connection.scan("select nothing", schema)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_scans_is_not_left_behind_and_takes_no_lock_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessera.store.store.LARGE", 0)
    url = f"sqlite:///{tmp_path}/store.sqlite"
    store, other = Store.open(url), sqlite3.connect(tmp_path / "store.sqlite", timeout=0)
    with closing(store), closing(other), store.write() as connection:
        one = pa.schema([("one", pa.int64())])
        assert connection.scan("select 1", one)["one"].to_pylist() == [1]
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("begin immediate")
    running = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not any(b"aside" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running)


@BOTH_STORES
def test_after_a_bulk_the_planner_knows_how_large_a_table_is(store: Store) -> None:
    """Or PostgreSQL walks a million lots once for each transfer, since there were none last night."""
    rows = [{**ROW, "address_hash": str(at)} for at in range(2_000)]
    with store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist(rows))
        if connection.dialect == "postgresql":
            query = "select reltuples from pg_class where relname = 'suppression'"
            assert connection.scalar(query) == len(rows)


def test_a_sqlite_store_keeps_much_in_memory_only_while_much_comes_in(tmp_path: Path) -> None:
    """What follows a load in its transaction reads what was loaded; afterwards the night needs the memory."""
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    files = pa.table({"programme": pa.repeat("club", 50_000), "file_id": range(50_000)})
    kept = []
    for is_anew in (False, True, False):
        with store.write() as connection:
            if is_anew:
                with bulk.anew(connection, "transfer"):
                    connection.insert("reward_file", files)
            kept.append(connection.scalar("pragma cache_size"))
    assert kept == [-2000, -bulk.LOAD_KB, -store_module.CACHE_KB]
    store.close()


@BOTH_STORES
def test_bulk_insert_still_refuses_what_breaks_a_constraint(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)not.null"), store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist([{**ROW, "cause": None}]))


@BOTH_STORES
@pytest.mark.parametrize("wrong", ["twice", "nobody"])
def test_a_bulk_insert_holds_to_keys_and_to_rows_of_other_tables(store: Store, wrong: str) -> None:
    names = ("kind", "source_type", "source_id", "rule", "rule_version", "effective_at", "posted_at", "business_date")  # fmt: skip
    row = {"programme": "p", "idem_key": "k", "amount": 5} | dict.fromkeys(names, "x")
    with store.write() as connection:
        account(connection, "a")
        account(connection, "b")
        one, two = (r["account_id"] for r in connection.all("select account_id from account"))
    rows = [{**row, "debit_id": one, "credit_id": two}]
    rows += [
        {
            **rows[0],
            "idem_key": "k" if wrong == "twice" else "other",
            "credit_id": two + (wrong == "nobody"),
        }
    ]
    with (
        pytest.raises(IntegrityError),
        store.write() as connection,
        bulk.anew(connection, "transfer"),
    ):
        connection.insert("transfer", pa.Table.from_pylist(rows))
    with store.write() as connection:
        assert connection.scalar("select count(*) from transfer") == 0
        connection.insert("transfer", pa.Table.from_pylist(rows[:1]))
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.insert("transfer", pa.Table.from_pylist(rows[:1]))


@BOTH_STORES
def test_the_ledger_refuses_update_and_delete(store: Store) -> None:
    with store.write() as connection:
        account(connection, "a")
        account(connection, "b")
        connection.run(TRANSFER, amount=5)
    for change in ("update transfer set amount = 6", "delete from transfer"):
        with pytest.raises(DBAPIError, match="immutable"), store.write() as connection:
            connection.run(change)


COLUMNS = (
    "programme, kind, amount, source_type, source_id, rule, rule_version, effective_at, posted_at, "
    "business_date"
)
WRONG = {
    "a transfer to nobody's account": "insert into transfer (idem_key, debit_id, credit_id, "
    f"{COLUMNS}) select new, 1, account, {COLUMNS} from transfer cross join "
    "(select 'l' as new, 2 as account union all select 'm', 77) as more",
    "a move of no lot": "insert into lot_move values (1, 77, -1)",
    "a move by no transfer": "insert into lot_move values (77, 1, -1)",
    "the end of an account": "delete from account where account_id = 2",
    "the end of a lot": "delete from lot",
    "another number of an account": "update account set account_id = 78 where account_id = 2",
}


@BOTH_STORES
@pytest.mark.parametrize("is_anew", [False, True])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_ledger_names_is_there(store: Store, wrong: str, is_anew: bool) -> None:
    lot = "lot (lot_id, account_id, amount, remaining, earned_at) values (1, 2, 5, 5, 't')"
    with store.write() as connection:
        for owner in "ab":
            account(connection, owner)
        connection.run(TRANSFER, amount=5)
        connection.run(f"insert into {lot}")
        connection.run("insert into lot_move values (1, 1, -1)")
    tables = ("transfer", "lot_move") if is_anew else ()
    with pytest.raises(IntegrityError), store.write() as connection, bulk.anew(connection, *tables):
        connection.run(WRONG[wrong])
    with store.write() as connection, bulk.anew(connection, "transfer", "lot_move"):
        connection.run(TRANSFER.replace("'k'", "'n'"), amount=5)
    with pytest.raises(IntegrityError), store.write() as connection:  # nor afterwards
        connection.run(WRONG[wrong])


@BOTH_STORES
def test_a_member_balance_is_never_negative(store: Store) -> None:
    with store.write() as connection:
        account(connection, "a")
    with pytest.raises(DBAPIError), store.write() as connection:
        connection.run("update account set balance = -1")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_texts_are_sorted_by_their_bytes_whatever_the_database_is_set_to(store: Store) -> None:
    """As on SQLite: a locale would let other points pay first, and changes with the system's library,
    which leaves indexes that find nothing."""
    query = (
        "select table_name, column_name from information_schema.columns where data_type = 'text' "
        "and table_schema = current_schema() and collation_name is distinct from 'C'"
    )
    with store.write() as connection:
        assert connection.all(query) == []
        # of those that are made for a moment, the one that is sorted
        connection.run(queries("tessera.reward", "revival.sql")["ask"])
        ours = "cast(cast(pg_my_temp_schema() as regnamespace) as text)"
        made = query.replace("current_schema()", ours)
        assert connection.all(made) == []


@BOTH_STORES
def test_read_then_write_by_many_threads_loses_nothing(store: Store) -> None:
    with store.write() as connection:
        account(connection, "a")

    def add() -> None:
        for _ in range(20):
            with store.write() as connection:
                lock = " for update" if connection.dialect == "postgresql" else ""
                found = connection.scalar(f"select balance from account where owner_id = 'a'{lock}")
                connection.run("update account set balance = :b", b=found + 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.scalar("select balance from account") == 80


@BOTH_STORES
def test_fifty_threads_with_one_key_leave_one_row(store: Store) -> None:
    """Complaint 32: numbers raced under load, and nothing kept a posting from coming twice."""
    event = dict.fromkeys(("event_key", "send_key", "event", "occurred_at", "received_at"), "same")
    rows, new = pa.Table.from_pylist([event]), []

    def post() -> None:
        with store.write() as connection:
            new.append(connection.insert_new("provider_event", rows))

    threads = [threading.Thread(target=post) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [0] * 49 + [1]


@BOTH_STORES
def test_colons_percents_and_casts_are_text_and_names_are_parameters(store: Store) -> None:
    query = "select '%s 12:30' as said, cast(:n as integer) as n, :n2 || '%' as more where 1 = :n"
    with store.read() as connection:
        assert connection.one(query, n=1, n2="a") == {"said": "%s 12:30", "n": 1, "more": "a%"}
        assert connection.all(query, n=2, n2="a") == []
        assert connection.scalar(query, n=2, n2="a") is None


@BOTH_STORES
def test_what_a_database_refuses_is_told_without_the_values(store: Store) -> None:
    with pytest.raises(DBAPIError) as caught, store.write() as connection:
        connection.run("insert into suppression (address_hash) values (:who)", who="ann@x.example")
    assert "ann@" not in str(caught.value)


@BOTH_STORES
def test_what_is_to_be_done_soon_is_done_before_what_is_asked_next(store: Store) -> None:
    add = "insert into suppression (address_hash, channel, scope, cause, since) values (:of, 'email', 'all', 'x', 't')"
    count = "select count(*) as n from suppression"

    def work(connection: Connection) -> int:
        connection.soon(add, of="a")
        before = connection.soon(count)
        connection.soon(add, of="b")
        connection.soon(add, of="c")
        assert before.one() == {"n": 1}
        connection.soon(add, of="d")
        return int(connection.scalar(count))

    assert store.together(work) == 4
    with store.write() as connection:
        connection.soon(add, of="e")
    with store.read() as connection:
        assert connection.scalar(count) == 5


@BOTH_STORES
def test_what_goes_wrong_soon_is_told_as_itself_and_undoes_all(store: Store) -> None:
    add = "insert into suppression (address_hash, channel, scope, cause, since) values ('a', 'email', 'all', 'x', :since)"

    def work(connection: Connection) -> None:
        connection.soon(add, since="first")
        connection.soon(add, since="second")
        connection.soon("select 1")

    with pytest.raises(IntegrityError) as caught:
        store.together(work)
    assert caught.value.statement == add
    assert "second" not in str(caught.value)
    with store.read() as connection:
        assert connection.scalar("select count(*) from suppression") == 0
    assert store.together(lambda connection: connection.scalar("select 1")) == 1


@BOTH_STORES
def test_an_attempt_that_fails_undoes_what_was_to_be_done_soon(store: Store) -> None:
    add = "insert into suppression (address_hash, channel, scope, cause, since) values (:of, 'email', 'all', 'x', 't')"

    def fail(connection: Connection) -> None:
        with connection.attempt():
            connection.soon(add, of="undone")
            raise BadInput("no")

    def work(connection: Connection) -> int:
        connection.soon(add, of="kept")
        with pytest.raises(BadInput):
            fail(connection)
        return int(connection.scalar("select count(*) from suppression"))

    assert store.together(work) == 1


def test_the_log_is_copied_beside_the_work_and_not_by_who_commits(tmp_path: Path) -> None:
    store, file = Store.open(f"sqlite:///{tmp_path}/store.sqlite"), tmp_path / "store.sqlite"
    with store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist([{**ROW, "cause": "a mark"}]))
    assert b"a mark" not in file.read_bytes()
    often = "pragma wal_autocheckpoint"
    with checkpoints.beside(store):
        with store.write() as connection:
            assert connection.scalar(often) == 0
        until = time.monotonic() + 20
        while b"a mark" not in file.read_bytes() and time.monotonic() < until:
            time.sleep(0.02)
    assert b"a mark" in file.read_bytes()
    assert not any(thread.name.startswith("checkpoints") for thread in threading.enumerate())
    with store.write() as connection:
        assert connection.scalar(often) == store_module.LOG_PAGES
    store.close()


def test_a_new_store_has_pages_of_our_size_and_an_older_one_keeps_its_own(tmp_path: Path) -> None:
    older = tmp_path / "older.sqlite"
    with closing(sqlite3.connect(older)) as file:
        file.execute("pragma page_size = 4096")
        file.execute("create table something (of_it)")
    for path, size in ((tmp_path / "new.sqlite", store_module.PAGE), (older, 4096)):
        store = Store.open(f"sqlite:///{path}")
        with store.read() as connection:
            assert connection.scalar("pragma page_size") == size
            assert connection.scalar("select count(*) from outbox") == 0
        store.close()


def test_a_store_is_opened_and_read_while_somebody_writes(tmp_path: Path) -> None:
    """A night's step may take minutes; who only looks does not wait for it."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    writer, begun = Store.open(url), time.monotonic()
    with writer.write():
        reader = Store.open(url)
        with reader.read() as connection:
            assert connection.scalar("select count(*) from run") == 0
        reader.close()
    writer.close()
    assert time.monotonic() - begun < 10


def test_a_new_store_waits_for_who_makes_it_at_the_same_time(tmp_path: Path) -> None:
    """SQLite's own patience does not hold while a file goes over to its log."""
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("create table first (id)")
        other.execute("begin immediate")
        leaves = threading.Timer(0.3, other.execute, ["commit"])
        leaves.start()
        with closing(Store.open(f"sqlite:///{path}")) as store, store.read() as connection:
            assert connection.scalar("pragma journal_mode") == "wal"
        leaves.join()


@pytest.mark.parametrize("url", ["my store", "mysql://me:secret@host/shop", "sqlite", "http://x:y"])
def test_what_is_no_store_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(BadInput, match="is not the URL of a store") as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


def test_a_store_of_a_later_version_is_one_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    Store.open(url).close()
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db, db:
        db.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(BadInput, match="made by a later version of Tessera"):
        Store.open(url)


def test_a_new_store_is_at_the_migration_with_the_highest_number(tmp_path: Path) -> None:
    """Which is how a store that needs nothing is told without Alembic."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    Store.open(url).close()
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        [[version]] = db.execute("select version_num from alembic_version").fetchall()
    assert version == migrate._head()


def test_moves_of_lots_outlive_the_change_of_their_table(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(_at_version("0018", path)) as db:
        db.executescript(MOVED)
        before = db.execute("select * from lot_move order by transfer_id").fetchall()
    Store.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("select * from lot_move").fetchall() == before == [(2, 1, -5), (3, 1, -4)]
        assert db.execute("pragma foreign_key_check").fetchall() == []
        for change in ("delete from lot_move", "update lot_move set delta = 1"):
            with pytest.raises(sqlite3.IntegrityError, match="immutable"):
                db.execute(change)


@pytest.mark.parametrize("there_are_transfers", [False, True])
def test_a_key_posts_once_whether_a_store_could_take_it_out_or_not(
    tmp_path: Path, there_are_transfers: bool
) -> None:
    path = tmp_path / "store.sqlite"
    with closing(_at_version("0019", path)) as db:
        if there_are_transfers:
            db.executescript(MOVED)
    Store.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as db:
        parts = dict(
            db.execute("select name, sql from sqlite_master where tbl_name = 'transfer'").fetchall()
        )
        if not there_are_transfers:
            db.executescript(MOVED)
        db.execute("pragma foreign_keys = on")
        assert db.execute("select count(*) from transfer").fetchall() == [(3,)]
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute(AGAIN)
        with pytest.raises(sqlite3.IntegrityError, match="immutable"):
            db.execute("delete from transfer")
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            db.execute(AGAIN.replace("'earn'", "'again'").replace(", 1, 2,", ", 1, 77,"))
    assert ("transfer_key" in parts) is not there_are_transfers
    assert "one_resolution" in parts
    assert "kind <> 'earn'" in parts["transfer_moving"]


AGAIN = """
insert into transfer (
    programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule, rule_version,
    effective_at, posted_at, business_date
) values ('club', 'earn', 'earn', 1, 2, 3, 'receipt', 'r', 'purchase', '1', 'e', 'p', 'b')
"""
MOVED = """
insert into account (account_id, programme, owner_type, owner_id, bucket, balance) values
(1, 'club', 'system', 'programme', 'issuance', null), (2, 'club', 'member', 'ann', 'available', 1);
insert into transfer (
    transfer_id, programme, idem_key, kind, debit_id, credit_id, amount, source_type, source_id, rule,
    rule_version, effective_at, posted_at, business_date
)
select
    column1, 'club', column2, column2, column3, column4, column5, 'receipt', 'r', 'purchase', '1',
    '2026-03-01', '2026-03-02', '2026-03-02'
from (values (1, 'earn', 1, 2, 10), (2, 'redeem', 2, 1, 5), (3, 'expire', 2, 1, 4));
insert into lot (lot_id, account_id, amount, remaining, earned_at) values (1, 2, 10, 1, '2026-03-01');
insert into lot_move values (3, 1, -4), (2, 1, -5);
"""


def _at_version(version: str, path: Path) -> sqlite3.Connection:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()
    return sqlite3.connect(path)


def test_an_unreachable_store_is_one_sentence() -> None:
    with pytest.raises(BadInput, match="TESSERA_STORE_URL"):
        Store.open("postgresql://nobody:secret@127.0.0.1:1/none")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_without_a_free_connection_says_what_to_allow(store_url: str) -> None:
    """To who comes, and to who is at work."""
    few = store_url.replace("//postgres:", "//few:")
    advice = r'too many connections for role "few"\. Allow more connections \(its max_connections, or the '
    with psycopg.connect(store_url, autocommit=True) as admin:
        admin.execute("create role few login connection limit 0 in role pg_read_all_data")
        try:
            with pytest.raises(BadInput, match=rf"cannot be opened: .*{advice}"):
                Store.open(few)
            admin.execute("alter role few connection limit 1")
            refused = pytest.raises(DBAPIError)
            with closing(Store.open(few)) as store, store.read(), refused as error, store.read():
                pass
            assert re.search(rf"any more: .*{advice}", store_module.lost(error.value) or "")
        finally:
            admin.execute("drop role few")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_name_is_one_sentence(
    postgresql: str, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgresql, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
    with pytest.raises(BadInput, match=f"keeps text as {encoding}.*encoding UTF8"):
        Store.open(postgresql.replace("/postgres?", f"/{name}?"))


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_what_others_set_for_a_session_changes_nothing_of_ours(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_isolation=serializable")
    store, query = Store.open(store_url), "select cause from suppression order by cause"
    insert = "insert into suppression values ('b', 'email', 'all', 'Ωμέγα', 't') returning cause"
    with store.write() as connection:
        connection.insert_new("suppression", pa.Table.from_pylist([{**ROW, "cause": "Άλφα"}]))
    assert store.together(lambda connection: connection.scalar(insert)) == "Ωμέγα"
    with store.read() as connection:
        assert [row["cause"] for row in connection.all(query)] == ["Άλφα", "Ωμέγα"]
        scanned = connection.scan(query, pa.schema({"cause": pa.string()}))
        assert scanned["cause"].to_pylist() == ["Άλφα", "Ωμέγα"]
        isolations = {connection.scalar("show transaction_isolation")}
    with store.write() as connection:
        isolations.add(connection.scalar("show transaction_isolation"))
    isolations.add(store.together(lambda its: its.scalar("show transaction_isolation")))
    assert isolations == {"read committed"}
    store.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_till_asks_again_where_a_pool_between_had_the_server_forget(store: Store) -> None:
    """As pgbouncer does when it hands a session on."""

    def ask() -> int:
        return int(store.together(lambda connection: connection.scalar("select 1")))

    assert ask() == 1
    with store._tills.connect() as connection:
        connection.connection.driver_connection.pgconn.exec_(b"discard all")
    with pytest.raises(DBAPIError) as told:
        ask()
    assert store_module.lost(told.value)
    assert ask() == 1


@BOTH_STORES
def test_what_tills_ask_comes_back_as_it_was(store: Store) -> None:
    values = {"n": 2**40, "t": 'it\'s "ä" %s \\ :x', "gone": None, "b": True, "f": 0.5}
    query = (
        "select cast(:n as bigint) as n, cast(:t as text) as t, cast(:gone as text) as gone, "
        "cast(:f as float) as f, :b = :b as b"
    )
    for _ in "twice":  # the second time it is prepared
        assert store.together(lambda connection: connection.one(query, **values)) == values


@BOTH_STORES
@pytest.mark.parametrize("wrong", ["a row that is there", "no statement"])
def test_what_fails_between_statements_that_wait_takes_all_of_them_back(
    store: Store, wrong: str
) -> None:
    insert = "insert into account (programme, owner_type, owner_id, bucket) values ('p', 'x', :owner, 'b')"

    def work(connection: Connection, owners: str, bad: str | None = None) -> int:
        for owner in owners:
            connection.soon(insert, owner=owner)
        if bad:
            connection.soon(bad, owner="a")
            connection.soon(insert, owner="z")
        return int(connection.scalar("select count(*) from account"))

    bad = insert if wrong == "a row that is there" else "insert into nothing values (:owner)"
    with pytest.raises(DBAPIError) as told:
        store.together(lambda connection: work(connection, "abc", bad))
    assert isinstance(told.value, IntegrityError) == (wrong == "a row that is there")
    assert told.value.statement == bad
    assert store.together(lambda connection: work(connection, "ab")) == 2
    with pytest.raises(IntegrityError):
        store.together(
            lambda connection: connection.run_many(insert, [{"owner": "c"}, {"owner": "a"}])
        )
    assert store.together(lambda connection: work(connection, "c")) == 3


@BOTH_STORES
def test_an_attempt_undoes_what_was_asked_in_it_also_where_nothing_came_before(
    store: Store,
) -> None:
    insert = "insert into account (programme, owner_type, owner_id, bucket) values ('p', 'x', :owner, 'b')"

    def refuse() -> None:
        raise LookupError

    def work(connection: Connection, before: str) -> None:
        for owner in before:
            connection.soon(insert, owner=owner)
        try:
            with connection.attempt():
                connection.run(insert, owner="b")
                connection.soon(insert, owner="c")
                refuse()
        except LookupError:
            connection.soon(insert, owner="d")

    store.together(lambda connection: work(connection, ""))
    with store.read() as connection:
        assert [row["owner_id"] for row in connection.all("select owner_id from account")] == ["d"]
    with store.write() as connection:
        connection.run("update account set bucket = 'before'")
    store.together(lambda connection: work(connection, "a"))
    with store.read() as connection:
        names = connection.all("select owner_id from account where bucket = 'b' order by owner_id")
    assert [row["owner_id"] for row in names] == ["a", "d"]


@BOTH_STORES
def test_who_looks_again_at_an_answer_sends_nothing_that_waits(store: Store) -> None:
    def work(connection: Connection) -> None:
        asked = connection.soon("select 1")
        assert asked.scalar() == 1
        connection.soon("select 2")
        assert asked.scalar() == 1
        assert connection._trips is None or len(connection._trips.line) == 1

    store.together(work)
