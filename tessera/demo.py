"""`make demo`: a made-up shop, its whole day, and where to look.

Everything goes to TESSERA_HOME, else to `demo/`; running it again changes nothing.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tessera import settings
from tessera.errors import TesseraError
from tessera.workspace import Workspace, open_workspace

CUSTOMERS, DAYS, SEED, DEFECTS = 1_500, 365, 1, 0.01
START = date(2025, 1, 1)
AS_OF = START + timedelta(days=DAYS)  # the morning after the last receipt


@dataclass(frozen=True)
class Demo:
    """The demo's shop and workspace."""

    ws: Workspace
    shop: Path


def main() -> None:
    """Make the shop, land it, run its day, say where to look."""
    given = settings.source_of("home") != "default"
    try:
        ws = open_workspace(AS_OF.isoformat(), home=None if given else Path("demo"))
        settings.overrule(settings.as_environment(ws.settings))
        demo = Demo(ws, ws.home.root / "shop")
        _make(demo)
        _land(demo)
        _print(demo, _run(demo))
    except TesseraError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)


def _make(demo: Demo) -> None:
    from tessera.shop import make_shop

    if demo.shop.exists():
        _say(f"The shop is there already: {demo.shop}")
        return
    _say(f"Making up a shop of {CUSTOMERS:,} customers and {DAYS} days …")
    demo.shop.parent.mkdir(parents=True, exist_ok=True)
    made = make_shop(
        demo.shop,
        customers=CUSTOMERS,
        days=DAYS,
        seed=SEED,
        start=START,
        defect_share=DEFECTS,
        memory=demo.ws.settings.duckdb_memory,
        threads=demo.ws.settings.threads,
    )
    _say(f"  {sum(made.rows.values()):,} rows, {made.defects:,} of them bad on purpose")


def _land(demo: Demo) -> None:
    from tessera.land import land

    _say("Landing its files …")
    report = land(demo.ws, "made_up_shop", demo.shop)
    report.raise_if_refused()
    _say(f"  {report.landed} files landed, {report.already_there} were there already")


def _run(demo: Demo) -> dict[str, Any]:
    from flows.runtime import run_day

    _say(f"Running {demo.ws.business_date} …")
    return run_day(demo.ws)


def _print(demo: Demo, summary: dict[str, Any]) -> None:
    from tessera.cli.options import print_table
    from tessera.report.summary import reasons, stages

    print_table(stages(summary))
    _say("")
    print_table(reasons(summary))
    home, day = _relative(demo.ws.home.root), demo.ws.business_date
    lines = {
        "report": f"{home}/report/index.html",
        "mail": f"{home}/mail/{day}/",
        "decisions": f"{home}/decisions/date={day}/",
        "quarantine": f"{home}/quarantine/",
        "data docs": f"{home}/data_docs/index.html",
        "what is true of the shop": f"{home}/shop/truth/",
    }
    _say("\nLook at")
    for what, where in lines.items():
        _say(f"  {what:<26}{where}")
    _say("\nTry")
    for command in _commands(demo, home):
        _say(f"  {command}")


def _commands(demo: Demo, home: Path) -> list[str]:
    customer, tessera = _somebody(demo), _command()
    return [
        f"{tessera} explain {customer} --home {home}",
        f"{tessera} plan --home {home} --as-of {AS_OF + timedelta(days=1)}",
        f"{tessera} quarantine list --home {home}",
        f"{tessera} ledger balance {customer} --home {home}",
        f"{tessera} up --home {home}",
    ]


def _command() -> str:
    """The command as this shell finds it: `make demo` puts it into .venv/bin, not on the path."""
    if shutil.which("tessera"):
        return "tessera"
    return str(_relative(Path(sys.executable).with_name("tessera")))


def _somebody(demo: Demo) -> str:
    """A customer a message was planned for."""
    import duckdb

    day = demo.ws.home.decisions / f"date={demo.ws.business_date}"
    found = duckdb.execute(
        "select min(customer_id) from read_parquet($files) where reason = 'planned'",
        {"files": f"{day}/*.parquet"},
    ).fetchall()
    return str(found[0][0])


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
