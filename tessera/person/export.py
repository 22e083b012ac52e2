"""The export: everything that is held about a person, for machines and for the person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tessera import audit, clock
from tessera.errors import BadInput
from tessera.land.erased import Keyring
from tessera.person import identity as who
from tessera.person.held import held
from tessera.warehouse.inputs import replace_text
from tessera.workspace import Workspace

WORDS = {
    "landed": "What the shop told us",
    "quarantined": "What the shop told us and we could not use",
    "mart": "What we worked out from it",
    "learned": "What we think will come next",
    "decisions": "What we decided to write or not to write, and why",
    "store": "What we keep of messages, answers, consents and points",
    "mail": "Mail that we wrote",
}


@dataclass(frozen=True)
class Export:
    """Where the export lies, and how many rows it has by place."""

    json: str
    page: str
    rows: dict[str, int]


def export(ws: Workspace, customer_id: str, to: Path | None = None) -> Export:
    """Write everything held about the customer as `person.json` and `person.html`, into `to` or a
    folder of the home; BadInput when nothing is held."""
    found = held(ws, who.find(ws, customer_id))
    if not found:
        raise BadInput(f"Nothing is held about a customer '{customer_id}'; check the id.")
    if to and to.resolve().is_relative_to(ws.home.root.resolve()):
        raise BadInput(
            f"{to} is in the home, where an erasure would not know it; choose a folder outside, or "
            "leave --to out."
        )
    folder = to or folder_of(ws, customer_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: no folder can be made there ({error.strerror}).") from None
    at = clock.stamp(clock.now())
    said = {"customer_id": customer_id, "exported_at": at, "held": found}
    counts = {place: len(rows) for place, rows in found.items()}
    with ws.store.write() as connection:
        person = Keyring.of(ws).person(customer_id)
        audit.record(ws, connection, "export", person, rows=counts)
    data, page = folder / "person.json", folder / "person.html"
    replace_text(data, json.dumps(said, indent=1, default=str, ensure_ascii=False))
    replace_text(page, _page(said))
    return Export(str(data), str(page), counts)


def folder_of(ws: Workspace, customer_id: str) -> Path:
    """A folder of the home, called by a hash: a file's name should not name a person either."""
    return ws.home.root / "exports" / Keyring.of(ws).person(customer_id).replace(" ", "-")


def _page(said: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("tessera.person", "."),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups: dict[str, dict[str, Any]] = {}
    for place, rows in said["held"].items():
        kind, _, of = place.partition(" ")
        groups.setdefault(WORDS[kind], {})[of.replace("_", " ")] = rows
    return environment.get_template("export.html").render(**said, groups=groups)
