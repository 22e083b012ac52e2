"""Steps of a benchmark, each a process of its own, of which the highest memory is told."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Step = Callable[[Path], dict[str, Any]]


def measured(benchmark: str, step: str, home: Path) -> dict[str, Any]:
    """What `step` tells, with its seconds, `cpu_seconds` and highest memory in MB (`peak_mb`)."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", step, str(home)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def tell(step: Step, home: Path, prepare: Callable[[], object] = lambda: None) -> None:
    """Run `step` here, after `prepare`, which is not timed, and print what `measured` reads."""
    prepare()
    before, started = _cpu_seconds(), time.perf_counter()
    told = step(home)
    told |= {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu_seconds() - before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(told))


def in_one_folder(benchmark: str, steps: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What each of `steps` tells, one after the other on what those before it made."""
    with tempfile.TemporaryDirectory() as folder:
        return {step: measured(benchmark, step, Path(folder)) for step in steps}


def run(
    steps: Mapping[str, Step],
    main: Callable[[], Iterable[object]],
    prepare: Callable[[], object] = lambda: None,
) -> None:
    """As typed: STEP FOLDER is one step, in this process; without, all of them, a row a line."""
    if sys.argv[1:]:
        tell(steps[sys.argv[1]], Path(sys.argv[2]), prepare)
        return
    for row in main():
        print(row)


def spent(told: Mapping[str, Any]) -> dict[str, object]:
    """The time of a step as columns of a row."""
    return {
        "seconds": f"{told['seconds']:.1f}",
        "processor seconds": f"{told['cpu_seconds']:.1f}",
    }


def peak(told: Mapping[str, Any]) -> dict[str, object]:
    """The memory of a step as the last column of a row."""
    return {"peak memory, MB": f"{told['peak_mb']:,}"}


def shown(told: Mapping[str, Any], name: str) -> str:
    """A number that not every step tells."""
    return f"{told[name]:,}" if name in told else ""


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
