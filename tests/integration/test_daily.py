"""A whole day on a small made-up shop, by the command a user types, under a real Prefect."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tessera.shop import make_shop
from tests.integration.test_up import of_home

AS_OF = "2025-05-01"  # the morning after the shop's last day
STAGES = {"hear", "land", "validate", "model", "know", "reward", "decide", "send", "report"}
TESSERA = str(Path(sys.executable).with_name("tessera"))
CODE = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}\b")
# What a second run of a day may add to: its own record, and that somebody asked for it.
OF_RUNS = {"run", "audit", "sqlite_sequence", "alembic_version"}


@dataclass
class Day:
    """A shop's files, and a home that is a user's own."""

    folder: Path
    shop: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start(self, *words: str) -> subprocess.Popen[str]:
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("TESSERA", "PREFECT"))
        }
        settings = {
            "TESSERA_HOME": str(self.home),
            "TESSERA_LINK_SECRET": "the same in every home, so that the same mail is",
            "HOME": str(self.folder),
        }
        return subprocess.Popen(
            [TESSERA, *words],
            env=inherited | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tessera(self, *words: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out, err

    def run(self) -> dict[str, Any]:
        return dict(json.loads(self.tessera("run", "--as-of", AS_OF, "--json")[0]))

    def state(self) -> dict[str, Any]:
        """What the day left: rows of every table, and every file's hash, but for records of runs."""
        with sqlite3.connect(self.home / "store.sqlite") as store:
            tables = [
                name
                for (name,) in store.execute("select name from sqlite_master where type = 'table'")
            ]
            counts = {
                name: store.execute(f"select count(*) from {name}").fetchone()[0]
                for name in tables
                if name not in OF_RUNS
            }
        return {
            **counts,
            **files(self.home, "landing", "validated", "quarantine", "mail", "report"),
        }

    def decisions(self) -> set[tuple[object, ...]]:
        found = duckdb.sql(
            f"select campaign, step, customer_id, occurrence, reason from '{self.home}/decisions/*/*.parquet'"
        )
        return set(found.fetchall())

    def runs(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self.home / "store.sqlite") as store:
            return store.execute("select state, summary from run order by run_id").fetchall()


def files(home: Path, *folders: str) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted((home / folder).rglob("*"))
        if path.is_file() and ".seen" not in path.parts  # how things lay, not what they are
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "shop"
    make_shop(folder, customers=150, days=120, seed=5, defect_share=0.02)
    return folder


@pytest.fixture(scope="module")
def first(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Day, dict[str, Any]]:
    """A day that was run once, and its summary."""
    day = Day(tmp_path_factory.mktemp("day"), shop)
    day.tessera("land", "made_up_shop", str(shop))
    return day, day.run()


def test_a_day_says_what_each_stage_did(first: tuple[Day, dict[str, Any]]) -> None:
    day, summary = first
    assert summary.keys() >= STAGES | {"as_of", "business_date", "reconciliation", "seconds"}
    assert all(summary[stage]["seconds"] >= 0 for stage in STAGES)
    assert summary["land"]["rows_landed"] > 0
    assert summary["validate"]["quarantined"] > 0
    assert summary["model"]["models_built"] > 20
    assert summary["reward"]["points_posted"] > 0
    decided = summary["decide"]
    assert sum(decided["reasons"].values()) == decided["candidates"] > decided["planned"] > 0
    assert summary["send"]["accepted"] == len(list(day.home.glob("mail/**/*.eml"))) > 0


def test_no_receipt_line_is_lost(first: tuple[Day, dict[str, Any]]) -> None:
    lines = dict(first[1]["reconciliation"])
    assert lines["lost"] == 0
    assert lines["landed"] == lines["modelled"] + lines["quarantined"]
    assert lines["modelled"] == first[1]["model"]["lines"]


def test_a_day_leaves_its_report_and_its_record(first: tuple[Day, dict[str, Any]]) -> None:
    day, summary = first
    page = (day.home / "report" / "index.html").read_text(encoding="utf-8")
    assert f"of {summary['decide']['candidates']} candidates" in page
    for section in ("Customers: the funnel", "Cohorts", "Sources", "prospects contacted", "Stores"):
        assert section in page
    ((state, kept),) = day.runs()
    assert state == "finished"
    assert json.loads(kept) == summary


def test_a_later_look_at_a_day_that_is_done_is_skipped(
    first: tuple[Day, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the schedule takes it every hour of the morning, in case the day failed."""
    day, _ = first
    look = [
        "from flows import server; from flows.runtime import connected, note",
        "from tessera.workspace import open_workspace",
        "with server.serving(open_workspace(), say=note) as api, connected(api):",
        "    from flows.daily import daily",
        f"    found = daily(as_of='{AS_OF}', unless_done=True, return_state=True)",
        "    print(found.name, found.message)",
    ]
    monkeypatch.setenv("TESSERA_HOME", str(day.home))
    code = [sys.executable, "-c", "\n".join(look)]
    done = subprocess.run(code, capture_output=True, text=True, check=False, cwd=day.folder)
    assert done.stdout == f"Skipped The day {AS_OF} is done.\n", done.stderr
    assert len(day.runs()) == 1


def test_a_day_leaves_no_process_and_keeps_prefect_in_its_home(
    first: tuple[Day, dict[str, Any]],
) -> None:
    day, _ = first
    assert of_home(day.home) == []
    assert (day.home / "prefect" / "prefect.db").exists()
    assert not (day.folder / ".prefect").exists()


def test_prefect_shows_the_day_and_nobodys_data(first: tuple[Day, dict[str, Any]]) -> None:
    day, _ = first
    with sqlite3.connect(day.home / "prefect" / "prefect.db") as prefect:
        artifacts = dict(prefect.execute("select key, data from artifact"))
        names = [name for (name,) in prefect.execute("select name from flow")]
        parameters = "".join(str(row) for row in prefect.execute("select parameters from flow_run"))
    assert {"day", "day-stages", "day-reasons", "report"} <= artifacts.keys()
    assert "## Plan against actual" in artifacts["report"].replace("\\n", "\n")
    assert "data_docs/index.html" in artifacts["day"]
    assert STAGES - {"land"} <= set(names)
    assert "@" not in "".join(artifacts.values()) + parameters


def test_the_same_day_again_and_the_same_files_under_other_names_change_nothing(
    first: tuple[Day, dict[str, Any]], shop: Path
) -> None:
    day, before = first
    past = day.home / "decisions/date=2025-04-14"
    shutil.copytree(day.home / f"decisions/date={AS_OF}", past)
    state, decisions = day.state(), day.decisions()
    for path in shop.glob("*.*"):
        shutil.copy(path, day.folder / f"{path.stem}_copy{path.suffix}")
    day.tessera("land", "made_up_shop", str(day.folder))  # in which the home lies, too
    after = day.run()
    assert day.state() == state
    assert day.decisions() == decisions
    assert after["reconciliation"] == before["reconciliation"]
    assert after["land"]["rows_landed"] == before["land"]["rows_landed"]
    assert after["decide"]["reasons"] == before["decide"]["reasons"]
    assert after["reward"]["points_posted"] == 0
    assert after["send"]["accepted"] == 0
    assert list(day.home.glob("decision_index/week=2025-04-14/*/*/*.parquet")), (
        "a week that is over"
    )
    shutil.rmtree(past)


def test_a_red_stage_ends_the_day_with_a_sentence_and_nothing_half_done(
    first: tuple[Day, dict[str, Any]], shop: Path, tmp_path: Path
) -> None:
    day = Day(tmp_path, shop)
    shutil.copytree(first[0].home / "prefect", day.home / "prefect")  # a new one takes its time
    bad = tmp_path / "receipts_2025-03.csv"
    header, *rows = (shop / bad.name).read_text(encoding="utf-8").splitlines()
    bad.write_text(
        "\n".join([header, *("x" + ";" * header.count(";") for _ in rows)]), encoding="utf-8"
    )
    day.tessera("land", "made_up_shop", str(bad))
    out, err = day.tessera("run", "--as-of", AS_OF, "--json", code=4)
    assert out == ""
    assert err.startswith("error: ")
    assert bad.name in err
    ((state, summary),) = day.runs()
    assert state == "failed"
    assert json.loads(summary)["error"] in err
    assert not (day.home / "marts").exists()
    assert of_home(day.home) == []


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(4))
def test_a_day_killed_at_any_instant_and_run_again_is_the_same_day(
    shop: Path, tmp_path: Path, first: tuple[Day, dict[str, Any]], seed: int
) -> None:
    whole, summary = first
    day = Day(tmp_path, shop)
    shutil.copytree(whole.home / "prefect", day.home / "prefect")
    day.tessera("land", "made_up_shop", str(shop))
    process = day.start("run", "--as-of", AS_OF)
    while not day.runs():
        time.sleep(0.05)
    time.sleep(random.Random(seed).uniform(0, summary["seconds"]))
    process.kill()
    process.communicate()
    assert of_home(day.home) == []
    day.run()
    assert day.runs()[0][0] in ("killed", "finished")
    assert day.decisions() == whole.decisions()
    assert files(day.home, "validated", "quarantine") == files(
        whole.home, "validated", "quarantine"
    )
    assert letters(day.home) == letters(whole.home)


def letters(home: Path) -> dict[str, list[str]]:
    """What every mail says, but for the codes of vouchers, which each home draws by lot."""
    found = {}
    for path in home.glob("mail/**/*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        texts = [
            part.get_content() for part in mail.walk() if part.get_content_type()[:5] == "text/"
        ]
        found[path.name] = [str(mail.items()), *(CODE.sub("CODE", text) for text in texts)]
    return found
