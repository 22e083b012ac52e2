"""Damage to the ledger that balances alone do not tell: by whoever changed its rows by hand."""

from __future__ import annotations

from collections.abc import Iterator

from tessera.quoting import literal
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "damage.sql")
# From which bucket to which a transfer of each kind goes.
WAYS = {
    "earn": ("issuance available", "issuance pending"),
    "grant": ("issuance available", "issuance pending"),
    "activate": ("pending available",),
    "clawback": ("available issuance", "pending issuance"),
    "adjust": (
        "available issuance", "pending issuance", "issuance available", "issuance pending",
    ),
    "owe": ("debt available",),
    "repay": ("available debt",),
    "hold": ("available held",),
    "redeem": ("available redeemed", "held redeemed"),
    "void": ("held available",),
    "release": ("held available",),
    "reverse": ("redeemed available",),
    "expire": ("available breakage",),
    "revive": ("breakage available",),
    "merge": ("available available", "pending pending", "debt debt"),
    "pool": ("available available",),
}  # fmt: skip
ALLOWED = ", ".join(literal(f"{kind} {way}") for kind, ways in WAYS.items() for way in ways)
# What each query finds, as a sentence.
SENTENCES = {
    "twice": "{idem_key}: posted {times} times",
    "strays": "{what} {number}: its transfer, its lot or its account is not there",
    "unheld": "{owner_id} held: balance {balance:,}, open holds {holds:,}",
    "asserted": (
        "the nights wrote down {asserted:,} points up to transfer {asserted_id}, which transfers "
        "make {transfers:,}"
    ),
}
# What may be wrong with a transfer: a column of the query `transfers`, and its sentence.
OF_TRANSFERS = {
    "nowhere": "{idem_key}: {amount:,} points from or to an account that is not there",
    "astray": "lot of {idem_key}: given to {owner_id}, lies with {keeper}",
    "directions": "{idem_key}: {kind} goes from {debit} to {credit}",
    "unpaid": "{idem_key}: {amount:,} points, but lots paid {paid:,} and got {given:,}",
    "misnamed": "{idem_key}: its row says source {source_id} and rule {rule}",
    "mistimed": "{idem_key}: its row says {effective_at}, its lot was earned at {earned_at}",
}


def found(store: Connection, programme: str) -> Iterator[str]:
    """All of it, a sentence each."""
    for name, sentence in SENTENCES.items():
        yield from (sentence.format(**row) for row in store.all(SQL[name], programme=programme))
    damaged = store.all(SQL["transfers"].replace("{ways}", ALLOWED), programme=programme)
    for name, sentence in OF_TRANSFERS.items():
        yield from (sentence.format(**row) for row in damaged if row[name])
