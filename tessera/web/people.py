"""What the published marts know of a person. They may not be there, or be replaced while we read: the
pages work without them."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

import duckdb

from tessera.consent.ledger import SQL as CONSENT
from tessera.consent.ledger import Words, on_marketing
from tessera.errors import BadInput
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

SQL = queries("tessera.web", "web.sql")
LOG = logging.getLogger("tessera.web")


def reader(ws: Workspace, customer_id: str) -> tuple[str, str | None]:
    """Whoever a letter went to: merged, or a prospect then, they have another number by now; that and their
    e-mail address."""
    found = _ask(ws, SQL["reader"], customer_id=customer_id) or [(customer_id, None)]
    return found[0][0], found[0][1]


def address_of(ws: Workspace, customer_id: str) -> str | None:
    """The customer's e-mail address."""
    found = _ask(ws, SQL["address_of"], customer_id=customer_id) or []
    return found[0][0] if found else None


def customers_with(ws: Workspace, email: str) -> list[str]:
    """The customers who have this e-mail address."""
    address = email.strip().lower()
    return [row[0] for row in _ask(ws, SQL["customers_with"], address=address) or []]


def words(ws: Workspace, customer_id: str) -> Words | None:
    """When this customer last spoke on marketing in the shop's own books, and what, by channel; None
    when the books cannot be read."""
    rows = _ask(ws, CONSENT["mart_words"], customer_id=customer_id)
    return None if rows is None else on_marketing(rows)


def _ask(ws: Workspace, query: str, **params: str) -> list[tuple[Any, ...]] | None:
    """The rows, none before anything was published; None when what was cannot be read."""
    if not marts.is_published(ws.home):
        return []
    try:
        with closing(marts.connect(ws.home, memory="256MB", threads=1)) as duck:
            return duck.execute(query, params).fetchall()
    except (BadInput, duckdb.Error) as error:
        LOG.warning("The marts could not be read: %s", type(error).__name__)
        return None
