"""The whole night, from the shop's files to the report, on a made-up shop of a million customers and
52 million receipt lines: the first with all of a year but its last two days, then one with each of
these, all that ships switched on, mail written to files. The second night takes to the models all that
the first has posted; the third is as every later one. One row per stage as the run itself tells it; `the
night` is the process from start to end, with its highest memory. `python -m benchmarks.nightly CUSTOMERS`
runs another size."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import model
from tessera.settings import environment

CUSTOMERS = model.CUSTOMERS
DAYS = {"2025-12-30": "shop", "2025-12-31": "second_day", "2026-01-01": "third_day"}
# Not `python -c`: in a process without a script DuckDB shows how far it is, on standard output.
TESSERA = Path(sys.executable).with_name("tessera")
SETTINGS = {"TESSERA_MESSENGER": "file", "TESSERA_TIMEZONE": model.ZONE}


def shop(folder: Path, customers: int) -> None:
    """A year of receipts, of which those of each of the last two days lie aside."""
    # A process of its own: the highest memory of this one would be taken for that of those it starts.
    command = [str(TESSERA), "make-shop", str(folder / "shop"), "--customers", str(customers)]
    command += ["--days", str(model.DAYS), "--seed", "1", "--start", "2025-01-01"]
    subprocess.run([*command, "--format", "parquet"], stdout=subprocess.DEVNULL, check=True)
    first, second, third = DAYS
    model.withhold(folder, f"timestamp '{second}'", DAYS[third])
    model.withhold(folder, f"timestamp '{first}'", DAYS[second])


def tessera(folder: Path, day: str, *command: str) -> dict[str, Any]:
    """What a command answers, with its seconds, its processor's and its highest memory in MB."""
    whole = [str(TESSERA), *command]
    whole += ["--home", str(folder / "home"), "--as-of", day, "--json"]
    given = environment(without=("TESSERA_",)) | SETTINGS | {"HOME": str(folder)}
    started = time.perf_counter()
    with subprocess.Popen(whole, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        answer = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, answer
    return {"answer": json.loads(answer), **_spent(started, used)}


def _spent(started: float, used: resource.struct_rusage) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - started,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss // 1024,
    }


def night(folder: Path, day: str, exports: str) -> Iterator[dict[str, Any]]:
    """One row per stage of one day, in the order they ran."""
    landed = tessera(folder, day, "land", "made_up_shop", str(folder / exports))
    yield {"stage": "land", **landed}
    ran = tessera(folder, day, "run")
    for stage, its in ran["answer"].items():
        if isinstance(its, dict) and "seconds" in its:
            yield {"stage": stage, "seconds": its["seconds"]}
    yield {"stage": "the night", **ran}


def main(customers: int = CUSTOMERS) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop(folder, customers)
        found = [(day, row) for day, exports in DAYS.items() for row in night(folder, day, exports)]
    return [
        {
            "day": day,
            "stage": row["stage"],
            "seconds": f"{row['seconds']:.1f}",
            "processor seconds": f"{row['processor']:.1f}" if "processor" in row else "",
            "peak memory, MB": f"{row['memory']:,}" if "memory" in row else "",
        }
        for day, row in found
    ]


if __name__ == "__main__":
    for line in main(*map(int, sys.argv[1:])):
        print(line)
