"""A person's rights: to see everything that is held of them, and to be forgotten for good."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zstandard

from flows import daily, model
from flows.validate import judge
from tessera import audit, person
from tessera.errors import BadInput
from tessera.land import land, land_engine, quarantine
from tessera.land.erased import Keyring
from tessera.person import duplicates, erasure
from tessera.person.erasure import resume
from tessera.quoting import constant
from tessera.reward import post
from tessera.settings import as_environment, environment
from tessera.warehouse import marts, packs
from tessera.workspace import Workspace
from tests.person import (
    EMAIL,
    FAMILY,
    GIVEN,
    NEXT_DAY,
    TEXTS,
    home_of,
    live,
    next_day,
    places,
    project,
    shop_with_her,
)

# An eraser that kills itself right before or after its n-th change to anything that lasts.
DOOMED = """
import os, shutil, signal, sys
from pathlib import Path
from tessera.store import Store
nth, done = int(sys.argv.pop(1)), []
def doomed(owner, name):
    original = getattr(owner, name)
    def effect(*args, **options):
        done.append(name)
        if len(done) == nth and nth % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if len(done) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, effect)
for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree"), (Store, "write")):
    doomed(owner, name)
from tessera.cli import main
main()
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a shop and the home of two days of it, and the person's id. Her receipts lie in a file of
    their own and in a pack."""
    folder = tmp_path_factory.mktemp("person")
    her = shop_with_her(folder / "shop")
    project(folder / "project")
    ws = home_of(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "LOOSE", 0)
        patch.setattr(packs, "SMALL", 10_000)
        live(ws, folder / "shop")
        next_day(ws)
    ws.store.close()
    return folder, her


@pytest.fixture
def her(lived: tuple[Path, str]) -> str:
    return lived[1]


@pytest.fixture
def ws(lived: tuple[Path, str], tmp_path: Path) -> Workspace:
    """A home of the test's own; files that are one in the original are one in it."""
    subprocess.run(["cp", "-a", f"{lived[0]}/.", str(tmp_path)], check=True)
    return home_of(tmp_path)


def everybody(ws: Workspace) -> list[tuple[Any, ...]]:
    with marts.connect(ws.home) as db:
        return db.execute("select * from customers order by customer_id").fetchall()


def takings(ws: Workspace) -> list[tuple[Any, ...]]:
    with marts.connect(ws.home) as db:
        return db.execute(
            "select count(*), sum(amount), sum(quantity) from transactions"
        ).fetchall()


def named(folder: Path, her: str) -> list[str]:
    """The Parquet files below `folder` with a row that has the person's id."""
    found = []
    for path in folder.rglob("*.parquet"):
        rows = duckdb.execute(f"select * from read_parquet('{path}') as r").fetchall()
        found += [str(path)] * (her in str(rows))
    return found


def test_after_an_erasure_a_search_of_the_whole_home_finds_nothing(ws: Workspace, her: str) -> None:
    before = places(ws.home.root)
    with marts.connect(ws.home) as db:
        asked = "select distinct card_id from transactions where customer_id = ?"
        cards = [card for (card,) in db.execute(asked, [her]).fetchall()]
    shown = " ".join(path for card in cards for path in named(ws.home.root, card))
    assert all(place in shown for place in ("/receipt_lines/file_id=", "/packed_lines/", "/packs/"))
    assert {path.split("/")[0] for path in before} == {
        *("landing", "validated", "quarantine", "marts", "mail", "inbox", "dbt", "warehouse.duckdb")
    }
    others = [row for row in everybody(ws) if row[0] != her]
    sold = takings(ws)
    proof = person.erase(ws, her)
    assert places(ws.home.root) == []
    assert [path for own in (her, *cards) for path in named(ws.home.root, own)] == []
    assert her not in (ws.home.root / "store.sqlite").read_bytes().decode("latin-1")
    assert everybody(ws) == others
    assert takings(ws) == sold, "receipts stay, as sales to nobody"
    assert proof.finished_at
    assert proof.rows["landed transactions"] > 0 < proof.rows["store outbox"]
    assert person.erase(ws, her) == proof, "again changes nothing"


def test_everything_still_adds_up_after_an_erasure(ws: Workspace, her: str) -> None:
    person.erase(ws, her)
    for counts in quarantine.counts(ws):
        assert counts.landed == (
            counts.good + counts.open + counts.readmitted + counts.refused + counts.waiting
        )
    with ws.store.read() as connection:
        rows = connection.all("select owner_id from account where owner_type = 'member'")
        ledger_rows = connection.scalar("select count(*) from transfer")
    assert her not in {row["owner_id"] for row in rows}
    assert ledger_rows > 0
    later = next_day(ws)
    assert her not in {row[0] for row in everybody(later)}


def test_the_retailer_s_old_files_do_not_bring_the_person_back(ws: Workspace, her: str) -> None:
    shop = ws.home.root.parent / "shop"
    person.erase(ws, her)
    assert land(ws, "made_up_shop", shop).landed == 0, "the very same files are known"
    again = ws.home.root.parent / "again"
    shutil.copytree(shop, again)
    for path in again.glob("*.csv"):  # the same rows in a file that is new
        first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join([first, *rest, rest[0]]), encoding="utf-8")
    report = land(ws, "made_up_shop", again)
    assert report.landed > 5
    assert any("people who were erased" in note for note in report.notes)
    judge(ws)
    model.build(ws)
    assert places(ws.home.root) == []
    assert her not in {row[0] for row in everybody(ws)}
    assert named(ws.home.landing, her) == []


def test_an_erasure_killed_anywhere_is_finished_by_the_next_call(ws: Workspace, her: str) -> None:
    given = environment(without=("TESSERA_",)) | as_environment(ws.settings)
    words = ["person", "erase", her, "--yes", "--json"]
    for nth in (1, 2, 3, 4, 5, 8, 13, 21, 34, 55):
        done = subprocess.run(
            [sys.executable, "-c", DOOMED, str(nth), *words],
            env=given,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert nth > 5, "it was killed in several places"
    proof = person.erase(ws, her)
    assert places(ws.home.root) == []
    assert proof.finished_at
    assert proof.rows["landed transactions"] > 0, "the proof counts what there was at first"


@pytest.mark.proof
def test_an_erasure_may_be_killed_at_each_of_its_changes(
    lived: tuple[Path, str], tmp_path: Path
) -> None:
    """One home for every change; the day after goes on by itself with what was begun."""
    for nth in range(1, 200):
        folder = tmp_path / str(nth)
        subprocess.run(["cp", "-a", str(lived[0]), str(folder)], check=True)
        ws = home_of(folder)
        given = environment(without=("TESSERA_",)) | as_environment(ws.settings)
        words = [sys.executable, "-c", DOOMED, str(nth), "person", "erase", lived[1], "--yes"]
        done = subprocess.run(words, env=given, capture_output=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        begun = resume(ws)
        if begun or nth > 2:  # until then nothing is written down; after its last change it is done
            assert places(ws.home.root) == []
        ws.store.close()
        shutil.rmtree(folder)
    assert nth > 20


def test_the_day_begins_with_an_erasure_that_was_killed(
    ws: Workspace, her: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is decided about anybody; this day goes no further."""

    def red(*_: object, **__: object) -> None:
        raise BadInput("no further")

    with monkeypatch.context() as killed:
        killed.setattr(erasure, "_carry_out", red)
        with pytest.raises(BadInput, match="no further"):
            person.erase(ws, her)
    assert places(ws.home.root) != []
    monkeypatch.setattr(daily, "hear", red)
    with pytest.raises(BadInput, match="no further"):
        daily.daily.fn(as_of=NEXT_DAY, home=str(ws.home.root))
    assert places(ws.home.root) == []


def test_a_message_on_its_way_is_waited_for(ws: Workspace, her: str) -> None:
    with ws.store.write() as connection:
        connection.run("update outbox set state = 'calling' where customer_id = :c", c=her)
    with pytest.raises(BadInput, match="being sent right now"):
        person.erase(ws, her)
    assert not list((ws.home.root / "erasing").glob("*")), "nothing was begun"
    with ws.store.write() as connection:
        connection.run("update outbox set state = 'accepted' where customer_id = :c", c=her)
    person.erase(ws, her)
    assert places(ws.home.root) == []


def test_an_export_has_everything_and_reads_well(ws: Workspace, her: str) -> None:
    written = person.export(ws, her)
    said = json.loads(Path(written.json).read_text(encoding="utf-8"))
    page = Path(written.page).read_text(encoding="utf-8")
    for text in TEXTS:
        assert text in page
    assert {"landed customers", "landed transactions", "landed prospects", "quarantined prospects",
            "mart customers", "decisions", "store outbox", "store provider_event", "store transfer",
            "mail"} <= set(said["held"])  # fmt: skip
    assert {row["email"] for row in said["held"]["landed customers"] if "email" in row} == {EMAIL}
    (entry,) = audit.entries(ws, action="export")
    assert entry["subject"] == Keyring.of(ws).person(her)
    assert not any(text in json.dumps(entry) for text in (*TEXTS, her))
    person.erase(ws, her)
    assert places(ws.home.root) == [], "the export goes too"


def test_of_many_files_some_at_a_time_are_read_and_no_row_is_missed(
    ws: Workspace, her: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What DuckDB keeps of each file until all are read would grow with them. Only which card is whose is asked
    of all files at once."""
    whole = person.identity.find(ws, her)
    all_of_it = person.held.held(ws, whole)
    lists = list[int]()

    def counted(files: Sequence[str]) -> str:
        if "cards" not in files[0]:
            lists.append(len(files))
        return constant(files)

    monkeypatch.setattr(person.identity, "AT_ONCE", 1)
    monkeypatch.setattr(person.identity, "constant", counted)
    assert person.identity.find(ws, her) == whole
    assert person.held.held(ws, whole) == all_of_it
    person.erase(ws, her)
    assert set(lists) == {1}
    assert places(ws.home.root) == []


def test_an_export_has_what_was_learned_and_refuses_a_place_that_is_none(
    ws: Workspace, her: str
) -> None:
    ws.home.know.mkdir()
    with duckdb.connect() as duck:
        table = ws.home.know / "scores.parquet"
        duck.execute(f"copy (select '{her}' as customer_id, 1.5 as expected) to '{table}'")
    written = person.export(ws, her)
    assert written.rows["learned scores"] == 1
    assert "What we think will come next" in Path(written.page).read_text()
    with pytest.raises(BadInput, match="is in the home"):
        person.export(ws, her, ws.home.root / "mine")
    (ws.home.root.parent / "file").touch()
    with pytest.raises(BadInput, match="no folder can be made there"):
        person.export(ws, her, ws.home.root.parent / "file" / "below")


def test_an_erasure_looks_into_every_frame_and_stumbles_over_no_broken_file(
    ws: Workspace, her: str
) -> None:
    inbox = ws.home.root / "inbox"
    inbox.mkdir(exist_ok=True)
    (inbox / "broken.zst").write_bytes(b"not what its name says")
    frames = [zstandard.compress(text.encode()) for text in ("first", EMAIL)]
    (inbox / "two.jsonl.zst").write_bytes(b"".join(frames))
    person.erase(ws, her)
    assert not (inbox / "two.jsonl.zst").exists()


def test_an_erasure_knows_names_as_pages_and_documents_write_them(ws: Workspace, her: str) -> None:
    """`Öz` is `\\u00d6z` in JSON of ASCII, an apostrophe is `&#39;` in a page."""
    folder = ws.home.root / "others"
    folder.mkdir()
    name = f"{GIVEN} {FAMILY}"
    (folder / "one.json").write_text(json.dumps({"said": f"ask {name.upper()} today"}))
    (folder / "lines.jsonl").write_text(json.dumps(f"from {name}") + '\n"kept"\n')
    (folder / "page.html").write_text("<p>Zephyrine Quillfeather-&Ouml;z, and Zephyrine</p>")
    person.erase(ws, her)
    assert json.loads((folder / "one.json").read_text()) == {"said": "ask [erased] today"}
    assert (folder / "lines.jsonl").read_text() == '"kept"\n'
    assert (folder / "page.html").read_text() == "<p>[erased], and [erased]</p>"


def test_nobody_is_merged_with_a_stranger_or_with_who_was_erased(ws: Workspace, her: str) -> None:
    (other,) = (row[0] for row in everybody(ws)[:1])
    for pair in ((other, "nobody"), ("", other)):
        with pytest.raises(BadInput, match="Nothing is held about"):
            person.refuse_strangers(ws, *pair)
    person.refuse_strangers(ws, other, her)
    person.erase(ws, her)
    with pytest.raises(BadInput, match="Nothing is held about"):
        person.refuse_strangers(ws, other, her)


def test_a_stranger_has_nothing_to_export_or_erase(ws: Workspace) -> None:
    for right in (person.export, person.erase):
        with pytest.raises(BadInput, match="Nothing is held about a customer 'nobody'"):
            right(ws, "nobody")


def two_buyers(ws: Workspace, her: str) -> tuple[str, str]:
    """Two registered customers with receipts."""
    with marts.connect(ws.home) as db:
        found = db.execute(
            "select customer_id from customers where is_registered and receipts > 0 "
            "and customer_id <> ? order by receipts desc, customer_id limit 2",
            [her],
        ).fetchall()
    return found[0][0], found[1][0]


def figures(ws: Workspace, *ids: str) -> dict[str, int]:
    with marts.connect(ws.home) as db:
        found = db.execute(
            "select count(*) as people, sum(receipts)::int as receipts, sum(revenue)::int as revenue "
            "from customers where customer_id in (select unnest(?))",
            [list(ids)],
        )
        names = [column[0] for column in found.description]
        return dict(zip(names, found.fetchall()[0], strict=True))


def through_the_front_door(ws: Workspace) -> None:
    land_engine(ws)
    judge(ws)
    model.build(ws)
    post(ws)


def balances(ws: Workspace) -> dict[tuple[str, str], int]:
    """What each member has or owes, by bucket; nothing is left out but nothing."""
    with ws.store.read() as connection:
        rows = connection.all(
            "select owner_id, bucket, balance from account "
            "where owner_type = 'member' and balance <> 0"
        )
    return {(row["owner_id"], row["bucket"]): row["balance"] for row in rows}


def in_force(ws: Workspace) -> Sequence[Mapping[str, Any]]:
    with ws.store.read() as connection:
        return connection.all("select * from person_merge where is_in_force = 1")


def test_two_customers_who_are_one_become_one_and_two_again(ws: Workspace, her: str) -> None:
    ws = home_of(ws.home.root.parent, NEXT_DAY)
    keep, other = two_buyers(ws, her)
    before, everyone, points = figures(ws, keep, other), everybody(ws), balances(ws)
    person.merge(ws, keep, other)
    found = duplicates.look(ws, with_merges=True).merged
    assert found >= 2
    through_the_front_door(ws)
    assert figures(ws, keep) == {**before, "people": 1}
    assert figures(ws, other)["people"] == 0
    with marts.connect(ws.home) as db:
        owners = db.execute("select distinct customer_id from card_owners").fetchall()
        said = db.execute("select distinct customer_id from consents").fetchall()
    assert (other,) not in owners + said
    assert (other, "available") not in balances(ws)
    assert sum(balances(ws).values()) == sum(points.values())
    merged = everybody(ws)
    assert len(merged) == len(everyone) - found - 1
    model.build(ws, full_refresh=True)
    assert everybody(ws) == merged, "step by step or from scratch"
    for row in in_force(ws):
        person.undo(ws, row["into_customer_id"], row["customer_id"])
    through_the_front_door(ws)
    assert everybody(ws) == everyone
    assert balances(ws) == points
    with pytest.raises(BadInput, match="is not merged"):
        person.undo(ws, keep, other)


def test_a_merged_person_is_erased_under_both_numbers(ws: Workspace, her: str) -> None:
    _, other = two_buyers(ws, her)
    person.merge(ws, other, her)
    proof = person.erase(ws, other)
    assert places(ws.home.root) == []
    assert named(ws.home.root, her) == named(ws.home.root, other) == []
    again = person.erase(ws, her)
    assert (again.rows, again.finished_at) == (proof.rows, proof.finished_at)
    assert proof.finished_at is not None
    assert again.person != proof.person


def test_merges_do_not_make_chains(ws: Workspace, her: str) -> None:
    person.merge(ws, "K1", "K2")
    person.merge(ws, "K1", "K2")
    for keep, other in (("K2", "K3"), ("K3", "K1"), ("K3", "K2")):
        with pytest.raises(BadInput, match="is merged into 'K1' already"):
            person.merge(ws, keep, other)
    person.undo(ws, "K1", "K2")
    person.merge(ws, "K3", "K2")
    for keep, other in (("K1", "K1"), ("K1", "prospect:L1")):
        with pytest.raises(BadInput):
            person.merge(ws, keep, other)
    actions = [entry["action"] for entry in audit.entries(ws)]
    assert actions == ["merge", "undo merge", "merge", "merge"]


def test_without_the_key_nobody_is_let_in_by_mistake(ws: Workspace, her: str) -> None:
    person.erase(ws, her)
    key = ws.home.root / "erasure_key"
    shop = ws.home.root.parent / "shop"
    for spoil in (lambda: key.write_text("another"), key.unlink):
        spoil()
        with pytest.raises(BadInput, match="key of erased people"):
            land(ws, "made_up_shop", shop)
    assert not key.exists(), "no other is made up"


def test_the_proof_is_a_hash_and_counts_and_nothing_else(ws: Workspace, her: str) -> None:
    person.erase(ws, her)
    with sqlite3.connect(ws.home.store) as db:
        proofs = db.execute("select * from erasure").fetchall()
        suppressed = db.execute("select scope from suppression where cause = 'erased'").fetchall()
    assert proofs
    assert not any(text in str(proofs) for text in (*TEXTS, her))
    assert suppressed, "nobody writes to the address again"
