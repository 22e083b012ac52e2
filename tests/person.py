"""A home in which one person is known in every way there is, and a search that finds them anywhere."""

from __future__ import annotations

import csv
import email
import email.policy
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import zstandard

from flows import model
from flows.validate import judge
from tessera.decide import decide
from tessera.hear import export, hear
from tessera.land import land, land_engine
from tessera.report.page import report
from tessera.reward import post
from tessera.send import send
from tessera.settings import CHECKOUT
from tessera.shop import make_shop
from tessera.testing import workspace
from tessera.workspace import Workspace

DAY, NEXT_DAY = "2025-05-01", "2025-05-02"
GIVEN, FAMILY = "Zephyrine", "Quillfeather-Öz"
EMAIL, PHONE = "zephyrine.quill@unmistakable.example", "+49 1577 00990099"
TEXTS = (GIVEN, FAMILY, EMAIL, PHONE)
CODES = ("utf-8", "utf-16-le", "utf-16-be")


def shop_with_her(folder: Path) -> str:
    """A small shop; the id of the one of its customers who is the person."""
    start = date(2025, 3, 2)
    make_shop(folder, customers=80, days=60, seed=5, start=start, duplicates=0.1)
    receipts = _read(folder / "receipts_2025-04.csv")
    cards = {row["card_no"]: row["member_no"] for row in _read(folder / "cards.csv")}
    bought = [cards[row["card_no"]] for row in receipts if row["card_no"] in cards]
    her = max(sorted(set(bought)), key=bought.count)
    rename = {"first_name": GIVEN, "surname": FAMILY, "email_address": EMAIL, "mobile": PHONE}
    day = {"date_of_birth": "1980-05-01", "preferred_language": "en"}
    customers = _read(folder / "customers.csv")
    _write(
        folder / "customers.csv",
        [r | rename | day if r["member_no"] == her else r for r in customers],
    )
    _append(folder / "customers.csv", f'{her};;"{GIVEN};{FAMILY};{EMAIL};{PHONE};x"y\n')
    _add(folder / "consents.csv", member_no=her, channel="email", purpose="marketing", answer="Y",
         answered="2025-03-03 10:00:00", where_asked="till")  # fmt: skip
    _add(folder / "prospects.csv", lead_no="L777777", email_address=EMAIL.upper(), surname=FAMILY,
         created="2025-03-01 10:00:00")  # fmt: skip
    _add(folder / "prospects.csv", lead_no="L777778", email_address=EMAIL, created="not a day")
    _add(folder / "interactions.csv", entry_no="O777777", member_no=her, type="complaint",
         at_time="2025-03-05 10:00:00", text=f"{GIVEN} says: call {PHONE}", state="closed")  # fmt: skip
    card = next(card for card, owner in cards.items() if owner == her)
    bad = next(row for row in receipts if row["card_no"] == card) | {"line_no": "99", "qty": "many"}
    _add(folder / "receipts_2025-04.csv", **bad)
    return her


def project(folder: Path) -> Path:
    """The project as it comes along, but with no control group, so that she is written to."""
    folder.mkdir()
    for name in ("dbt", "templates"):
        (folder / name).symlink_to(CHECKOUT / name)
    shutil.copytree(CHECKOUT / "deployments", folder / "deployments")
    for path in (folder / "deployments").rglob("*.yml"):
        text = re.sub(r"(control_group_share:) [0-9.]+", r"\1 0", path.read_text("utf-8"))
        path.write_text(text, encoding="utf-8")
    return folder


def home_of(folder: Path, as_of: str = DAY) -> Workspace:
    """The workspace of the home in `folder`, beside its project."""
    return workspace(folder / "home", as_of, project=folder / "project", timezone="Europe/Athens")


def live(ws: Workspace, shop: Path) -> None:
    """The day: everything up to a mail, and what the provider said of it."""
    land(ws, "made_up_shop", shop).raise_if_refused()
    judge(ws)
    model.build(ws)
    post(ws)
    decide(ws, ["birthday", "winback", "welcome"])
    send(ws)
    inbox = ws.home.root / "inbox"
    inbox.mkdir()
    with ws.store.read() as connection:
        keys = [row["send_key"] for row in connection.all("select send_key from outbox")]
    events = [{"email": EMAIL, "timestamp": 1746093600, "event": "bounce", "send_key": key,
               "reason": f"550 no such user {EMAIL}"} for key in keys]  # fmt: skip
    (inbox / "events.json").write_text(json.dumps(events), encoding="utf-8")
    hear(ws)
    report(ws)


def next_day(ws: Workspace) -> Workspace:
    """The morning after: the engine's own rows come back, and are modelled."""
    later = home_of(ws.home.root.parent, NEXT_DAY)
    export(later)
    land_engine(later)
    judge(later)
    model.build(later)
    post(later)
    decide(later)
    report(later)
    return later


def places(root: Path) -> list[str]:
    """The files below `root` in which any of the person's texts can be found, however it is
    written: as UTF-8 or UTF-16, packed, encoded for mail, in Parquet or in DuckDB's own file."""
    return sorted({str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and _has(p)})


def _has(path: Path) -> bool:
    return any(
        text.lower().encode(code) in content.lower()
        for content in _contents(path)
        for text in (*TEXTS, *(json.dumps(text)[1:-1] for text in TEXTS))
        for code in CODES
    )


def _contents(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pylist()).encode()
    elif path.suffix == ".gz":
        yield gzip.decompress(raw)
    elif path.suffix == ".zst":
        yield zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    elif path.suffix == ".eml":
        message = email.message_from_bytes(raw, policy=email.policy.default)
        yield str(message.items()).encode()
        yield from (
            part.get_payload(decode=True) or b""
            for part in message.walk()
            if not part.is_multipart()
        )
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as db:
            for (table,) in db.execute("select table_name from duckdb_tables()").fetchall():
                yield str(db.execute(f'select * from "{table}"').fetchall()).encode()


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def _add(path: Path, **values: str) -> None:
    rows = _read(path)
    _write(path, [*rows, dict.fromkeys(rows[0], "") | values])


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
