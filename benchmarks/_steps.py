"""Steps of a benchmark, each a process of its own, of which the highest memory is told."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
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


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
