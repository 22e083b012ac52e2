"""What the landing tests share: a project with one mapping, and the landed rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from tessera.testing import workspace
from tessera.workspace import Workspace

# A till's export as plain as can be; every test changes what it is about.
RECEIPTS: dict[str, Any] = {
    "files": "*",
    "columns": {
        "transaction_id": "receipt",
        "line_id": "line",
        "card_id": "card",
        "sold_at": "sold",
        "product_id": "sku",
        "quantity": "qty",
        "amount": "total",
        "kind": "'sale'",
    },
}
HEADER = ["receipt", "line", "card", "sold", "sku", "qty", "total"]


def receipt(number: int = 1, **changed: str) -> list[str]:
    """One line of the till's export, in HEADER's order."""
    values = {
        "receipt": f"R{number}",
        "line": "1",
        "card": "C1",
        "sold": "2026-03-01 10:00:00",
        "sku": "P1",
        "qty": "2",
        "total": "12.34",
    }
    return list({**values, **changed}.values())


def csv_text(*rows: list[str], delimiter: str = ",", header: list[str] | None = None) -> str:
    """Rows as CSV without a quote; what is in them must not need one."""
    return "".join(delimiter.join(row) + "\n" for row in [header or HEADER, *rows])


def project(
    folder: Path,
    *,
    source: str = "till",
    timezone: str = "UTC",
    **feeds: dict[str, Any] | list[dict[str, Any]],
) -> Path:
    """A project folder whose only mapping is `source`: an entry or several for each feed; `transactions` from
    RECEIPTS by default."""
    mapping = {
        "source": source,
        "timezone": timezone,
        "currency": "EUR",
        "feeds": {
            feed: entry if isinstance(entry, list) else [entry]
            for feed, entry in (feeds or {"transactions": RECEIPTS}).items()
        },
    }
    path = folder / "deployments" / "sources" / f"{source}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder


def till(tmp_path: Path, **settings: Any) -> Workspace:
    """A workspace whose project has the till's mapping."""
    return workspace(tmp_path / "home", project=project(tmp_path / "project"), **settings)


def put(folder: Path, **files: str | bytes) -> Path:
    """Write files into `folder`; `__` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def at(text: str) -> datetime:
    """A time as it is landed: UTC, without saying so."""
    return datetime.fromisoformat(text)


def landed(ws: Workspace, feed: str = "transactions") -> list[dict[str, Any]]:
    """The landed rows of `feed`, in the order they came."""
    files = ws.home.landing / feed / "*" / "rows.parquet"
    if not list((ws.home.landing / feed).glob("*/rows.parquet")):
        return []
    with duckdb.connect() as duck:
        found = duck.execute(
            "select * from read_parquet($files, hive_partitioning = true, "
            "hive_types = {'file_id': bigint}) order by file_id, _row_number",
            {"files": str(files)},
        )
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def manifest(ws: Workspace) -> list[dict[str, Any]]:
    """The rows of `landed_file`."""
    with ws.store.read() as store:
        return [dict(row) for row in store.all("select * from landed_file order by file_id")]


def leftovers(ws: Workspace) -> list[str]:
    """What lies in the landing and is neither a landed file of the manifest nor the lock."""
    known = {ws.home.landing / r["feed"] / f"file_id={r['file_id']}" for r in manifest(ws)}
    folders = [*ws.home.landing.glob("*/file_id=*"), *ws.home.landing.glob(".spool/*")]
    return sorted(str(folder) for folder in folders if folder not in known)
