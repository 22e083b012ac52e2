"""The layout keeps its promises: what may exist, who reads the clock and the environment."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [p for d in ("tessera", "flows", "expectations") for p in (ROOT / d).rglob("*.py")]


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_dbt_folder_is_not_a_package() -> None:
    """With an __init__.py it would shadow the installed dbt."""
    assert not (ROOT / "dbt" / "__init__.py").exists()


def test_functions_are_taken_in_at_once() -> None:
    lengths = [
        (name, n) for path in SOURCES for name, n in functions(path) if "migrations" not in name
    ]
    too_long = [(name, n) for name, n in lengths if n > 40]
    assert too_long == []
    assert statistics.median(n for _, n in lengths) <= 10


READS = re.compile(
    r"os\.environ(?!\.setdefault\()|os\.getenv"
)  # others may tell a library something


def test_only_settings_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if READS.search(path.read_text(encoding="utf-8"))
    }
    assert readers == {"tessera/settings.py"}


def test_only_clock_asks_for_the_time() -> None:
    words = ("datetime.now(", "date.today(", "utcnow(", "time.time(")
    askers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(word in path.read_text(encoding="utf-8") for word in words)
    }
    assert askers == {"tessera/clock.py"}


def test_no_question_to_a_store_goes_by_the_order_of_letters() -> None:
    """Under most locales PostgreSQL sorts `;` before `:`, so that a span of keys `'x:' to 'x;'` is empty."""
    span = re.compile(r"(?<![<>-])(?:[<>]=?|between)\s*'[a-z]")
    questions = [(str(p.relative_to(ROOT)), p.read_text(encoding="utf-8"))
                 for p in (ROOT / "tessera").rglob("*.sql")]  # fmt: skip
    assert [(name, found[0]) for name, text in questions for found in span.finditer(text)] == []


def test_importing_tessera_is_light() -> None:
    code = (
        "import sys, tessera, tessera.cli.app\n"
        "heavy = {'prefect', 'dbt', 'great_expectations', 'duckdb', 'pyarrow', 'pandas', 'sqlalchemy', 'splink'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
