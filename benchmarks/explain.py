"""`tessera explain` over a year of daily decisions on a million customers, as it is typed: a process
from start to end. The decisions of one week are made, and the other 51 weeks are links to it, so the
files are as many and as large as in a real year but better cached. Beside it the same question of
four weeks, of a year without the index, and a command that reads nothing (`tessera --version`)."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import duckdb

from tessera.decide import index
from tessera.home import Home
from tessera.testing import workspace

CUSTOMERS, WEEKS = 1_000_000, 52
CAMPAIGNS = [f"campaign_{number}" for number in range(12)]  # each judges one customer in twelve
MONDAY = date(2025, 1, 6)
WHO = "c0000017"


def make_day(home: Home, day: date) -> None:
    """A decision per customer on each day."""
    folder = home.decisions / f"date={day}"
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(
            f"create table decision as select date '{day}' as business_date, "
            f"timestamp '{day}' as decided_at, 'campaign_' || (hash(i, '{day}') % 12) as campaign, "
            "'v1' as campaign_version, 'first' as step, '' as variant, 'email' as channel, "
            "'c' || lpad(i::varchar, 7, '0') as customer_id, 'first' as occurrence, "
            "list_value('planned', 'capped', 'no_consent', 'control_group', 're_entry')"
            f"[1 + (hash('{day}', i) % 5)::int] as reason, '2 marketing in 7 days' as decided_by, "
            f"if(reason = 'planned', timestamp '{day}', null) as send_at, "
            "if(reason = 'planned', md5(campaign || i), null) as send_key "
            f"from range({CUSTOMERS}) as t (i)"
        )
        for name in CAMPAIGNS:
            db.execute(
                f"copy (select * from decision where campaign = '{name}' order by customer_id) "
                f"to '{folder}/{name}.parquet' (format parquet, compression zstd)"
            )


def make_year(home: Home) -> None:
    workspace(home.root).store.close()  # which explain asks what became of the messages
    for number in range(7):
        make_day(home, MONDAY + timedelta(number))
    index.refresh(home, before=MONDAY + timedelta(7))
    (first,) = index.weeks(home)
    (bucketed,) = first.folder.iterdir()
    for week in range(1, WEEKS):
        for number in range(7):
            name = f"date={MONDAY + timedelta(7 * week + number)}"
            source = home.decisions / f"date={MONDAY + timedelta(number)}"
            shutil.copytree(source, home.decisions / name, copy_function=os.link)
    buckets = bucketed.name.partition("-")[2]
    for found in list(index.weeks(home))[1:]:
        target = found.folder / f"{found.stamp}-{buckets}"
        shutil.copytree(bucketed, target, copy_function=os.link)


def timed(*words: str) -> tuple[float, float, str]:
    """The median of five runs in seconds, the processor seconds of one, and what was said."""
    seconds, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        started = time.perf_counter()
        done = subprocess.run(
            [Path(sys.executable).with_name("tessera"), *words],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds.append(time.perf_counter() - started)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return median(seconds), used / 5, done.stdout


def main() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        make_year(home)
        recent = str(MONDAY + timedelta(weeks=WEEKS - 4))
        asked = ("explain", WHO, "--json", "--home", folder)
        found = {
            "tessera --version": timed("--version"),
            "explain, four weeks": timed(*asked, "--since", recent),
            "explain, a year": timed(*asked),
        }
        shutil.rmtree(home.decision_index)
        found["a year without the index"] = timed(*asked)
    assert len(json.loads(found["explain, a year"][2])) == 7 * WEEKS
    return [
        {
            "command": name,
            "decisions looked through": f"{_rows(name):,}",
            "seconds": f"{seconds:.2f}",
            "processor seconds": f"{used:.2f}",
        }
        for name, (seconds, used, _) in found.items()
    ]


def _rows(name: str) -> int:
    weeks = 0 if "version" in name else 4 if "four" in name else WEEKS
    return weeks * 7 * CUSTOMERS


if __name__ == "__main__":
    for line in main():
        print(line)
