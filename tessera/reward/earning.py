"""What receipts should have earned against what the ledger says: the transfers that are missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tessera import clock
from tessera.reward import rivals
from tessera.reward.programme import Programme
from tessera.reward.terms import terms
from tessera.store import queries

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.reward", "earning.sql")
NEVER, AT_LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
IN_SCOPE = ("points", "local_day", "suits", "no_products", "line", "touched", "scope")
JUDGED = ("receipt", "counted", "rule_basis", "first_purchase", "birthday", "candidate", "due")
TEXT, WHOLE = pa.string(), pa.int64()
POSTED = pa.schema(
    [
        ("transfer_id", WHOLE),
        ("source_type", TEXT),
        ("source_id", TEXT),
        ("source_line", TEXT),
        ("kind", TEXT),
        ("rule", TEXT),
        ("rule_version", TEXT),
        ("basis", WHOLE),
        ("points", WHOLE),
        ("customer_id", TEXT),
        ("effective_at", TEXT),
        ("origin", TEXT),
    ]
)
MEMBERS = pa.schema(
    [("owner_id", TEXT), ("bucket", TEXT), ("account_id", WHOLE), ("balance", WHOLE)]
)
ISSUED = pa.schema([("owner_id", TEXT), ("points", WHOLE)])
DAY = pa.date32()
LISTS = ("products", "categories", "brands", "stores", "weekdays", "tiers")
RULE = pa.schema(
    [
        *((name, TEXT) for name in ("rule", "basis_of", "rounding", "stacking", "birthday")),
        *((name, pa.list_(TEXT)) for name in LISTS),
        *((f"cap_{name}", WHOLE) for name in ("transaction", "day", "member", "budget")),
        *((name, WHOLE) for name in ("position", "least_amount")),
        *((name, pa.bool_()) for name in ("first_purchase", "looks_at_receipt")),
        *((name, DAY) for name in ("since", "until")),
    ]
)
RATE = pa.schema(
    [(name, TEXT) for name in ("rule", "tier", "version")]
    + [(name, WHOLE) for name in ("numerator", "denominator")]
)
TERM = pa.schema(
    [("first_day", DAY), ("joined_on", DAY)]
    + [(name, TEXT) for name in ("activates_at", "expires_at", "expires_on")]
)
# What the ledger tells of members before anything is judged, by the name of its query.
KNOWN = {
    "known_tier": pa.schema([("customer_id", TEXT), ("tier", TEXT)]),
    "given_before": pa.schema(
        [(name, TEXT) for name in ("customer_id", "rule", "origin", "effective_at")]
        + [("points", WHOLE)]
    ),
    "budget_before": pa.schema([("rule", TEXT), ("points", WHOLE)]),
}
PENDING = pa.schema([("customer_id", TEXT), ("origin", TEXT), ("rule", TEXT), ("points", WHOLE)])


def find_receipts(
    duck: DuckDBPyConnection,
    programme: Programme,
    *,
    as_of: datetime,
    since: datetime | None,
    seen_files: pa.Table,
    handed_on: pa.Table,
    zone: str,
) -> pa.Table:
    """The receipts sold before `as_of` that no run has looked at or whose cards are somebody else's by now,
    with what hangs together with them, into temporary tables; the ids (`source_id`) whose transfers the
    ledger must tell."""
    _tell_rules(duck, programme, as_of=as_of, since=since or NEVER, zone=zone)
    duck.register("seen_file", seen_files)
    duck.register("handed_on", handed_on)
    for step in (*IN_SCOPE, "of_handed_on", "receipt", "return_line"):
        duck.execute(SQL[step])
    return duck.execute(SQL["wanted"]).to_arrow_table()


def find_left(duck: DuckDBPyConnection, posted: pa.Table) -> pa.Table:
    """The receipts that returns are no longer of, as what is `posted` says, come into the tables too; the ids
    whose transfers the ledger must tell besides."""
    duck.register("posted", posted)
    asked = duck.execute(SQL["wanted"]).to_arrow_table()
    if duck.execute(SQL["left"]).fetchone() == (0,):
        return asked.slice(0, 0)
    duck.register("asked", asked)
    for step in ("receipt", "return_line"):
        duck.execute(f"drop table {step}")
        duck.execute(SQL[step])
    return duck.execute(f"({SQL['wanted']}) except select source_id from asked").to_arrow_table()


def files(duck: DuckDBPyConnection) -> pa.Table:
    """The numbers of the landed files that receipts are in."""
    return duck.execute(SQL["files"]).to_arrow_table()


def begin_with(duck: DuckDBPyConnection, first: datetime) -> None:
    """For a ledger that knows nothing of receipts before `first`."""
    _set(duck, first=clock.naive(first))
    duck.execute(SQL["begin"])


def make_views(duck: DuckDBPyConnection, programme: Programme, zone: str) -> None:
    """The rules as views, `due` the last, of what `transactions` and the other tables hold when they are
    asked: for who asks of one receipt after the other, all of them new since the year 2."""
    _tell_rules(duck, programme, as_of=AT_LAST, since=NEVER.replace(year=2), zone=zone)
    for step in (*IN_SCOPE, *JUDGED):
        duck.execute(SQL[step].replace("create temp table", "create temp view"))


def _tell_rules(
    duck: DuckDBPyConnection, programme: Programme, *, as_of: datetime, since: datetime, zone: str
) -> None:
    _set(
        duck,
        as_of=clock.naive(as_of),
        since=clock.naive(since),
        currency=programme.currency,
        zone=zone,
        pending_days=programme.pending_days,
        leap_day=programme.leap_day_of_year,
        by_joining=bool(programme.expiry and programme.expiry.kind == "anniversary"),
    )
    rules = [rule.row(position) for position, rule in enumerate(programme.earn_rules)]
    duck.register("told_rule", pa.Table.from_pylist(rules, RULE))
    duck.register("told_rate", pa.Table.from_pylist(programme.rates(), RATE))
    for step in ("rule", "rate"):
        duck.execute(SQL[step])


def _set(duck: DuckDBPyConnection, **variables: object) -> None:
    for name, value in variables.items():
        duck.execute(f"set variable {name} = ?", [value])


def customers(duck: DuckDBPyConnection, posted: pa.Table) -> pa.Table:
    """Whose receipts are looked at, or were when they were `posted`."""
    duck.register("posted", posted)
    return duck.execute(SQL["customers"]).to_arrow_table()


def find_events(duck: DuckDBPyConnection, known: dict[str, pa.Table]) -> None:
    """What is to be posted, into the temporary table `event`; `known` are the tables of `KNOWN`."""
    for name, schema in KNOWN.items():
        duck.register(name, known.get(name, schema.empty_table()))
    for step in (*JUDGED[1:], "event"):
        duck.execute(SQL[step])
    for step in ("corrected", "fresh", "judged", "others", "budget"):
        duck.execute(SQL[step])
    rivals.choose(duck)
    for step in ("within_caps", "worth", "first_earn", "adjust_earn"):
        duck.execute(SQL[step])
    for step in ("earned", "owed_back", "taken_back", "clawback", "adjust_clawback"):
        duck.execute(SQL[step])


def members(duck: DuckDBPyConnection, *, losers: bool = False) -> pa.Table:
    """Whose points are to move; `losers` only those who give some back."""
    query = SQL["losers"] if losers else "select distinct customer_id from event"
    return duck.execute(query).to_arrow_table()


def split(duck: DuckDBPyConnection, programme: Programme, *, pending: pa.Table) -> pa.Table:
    """Tell what is pending from what is available; of whom, of which receipts and by which rules points that
    can be spent are taken, and how many."""
    duck.register("known_pending", pending)
    _set(duck, returns=programme.returns)
    duck.execute(SQL["split"])
    return duck.execute(SQL["asked"]).to_arrow_table()


def settle(duck: DuckDBPyConnection, *, accounts: pa.Table, issued: pa.Table) -> pa.Table:
    """Apply the return policy to members' balances; the accounts (owner and bucket) it lacks."""
    duck.register("known_account", accounts)
    duck.register("issued", issued)
    for step in ("member", "forgiven", "debt"):
        duck.execute(SQL[step])
    return duck.execute(SQL["owner"]).to_arrow_table()


def set_terms(duck: DuckDBPyConnection, programme: Programme, zone: str) -> None:
    """The terms of what is given, by the day it can first be spent on, into `term`."""
    rows: list[dict[str, Any]] = []
    for first_day, joined_on in duck.execute(SQL["first_days"]).fetchall():
        found = terms(expiry=programme.expiry, first_day=first_day, joined=joined_on, timezone=zone)
        rows.append({"first_day": first_day, "joined_on": joined_on, **vars(found)})
    duck.register("term", pa.Table.from_pylist(rows, TERM))


def transfers(
    duck: DuckDBPyConnection, accounts: pa.Table, **constants: object
) -> pa.RecordBatchReader:
    """The events as rows of the store's `transfer` table, in batches."""
    duck.register("account", accounts)
    _set(duck, **constants)
    return duck.execute(SQL["transfer"]).to_arrow_reader(500_000)
