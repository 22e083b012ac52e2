"""`make bench`: run the benchmarks named (default all) and write benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

BENCHMARKS = [path.stem for path in sorted(Path(__file__).parent.glob("[!_]*.py"))]
RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = "# Benchmark results\n\nWritten by `make bench`. Machines are noisy: read ratios, not seconds.\n"


def table(rows: Sequence[dict[str, object]]) -> str:
    """`rows` as a Markdown table, columns as in the first row."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *[[str(row.get(n, "")) for n in names] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def section(name: str) -> str:
    """Run one benchmark; its Markdown section."""
    module = import_module(f"benchmarks.{name}")
    rows = module.main()
    stamp = datetime.now(UTC).date()
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {stamp}"
    about = " ".join((module.__doc__ or "").split())
    return f"## {name}\n\n{about}\n\n{where}\n\n{table(rows)}\n"


def sections(text: str) -> dict[str, str]:
    """The sections already in the results file, by name."""
    _, *parts = text.split("\n## ")
    return {part.split("\n", 1)[0]: "## " + part.rstrip() + "\n" for part in parts}


def main(names: list[str]) -> None:
    """Run `names` one after the other, keeping the other sections as they are."""
    found = sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names or BENCHMARKS:
        found[name] = section(name)
        print(found[name])
        RESULTS.write_text(
            HEAD + "\n" + "\n".join(found[n] for n in sorted(found)), encoding="utf-8"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
