"""Test helpers that a project built on Tessera can use too: a workspace, published marts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera import clock
from tessera.feeds import FEEDS, SQL_TYPES
from tessera.settings import CHECKOUT, Settings
from tessera.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Sequence[Mapping[str, Any]]


def workspace(home: Path, as_of: str = "2026-03-31", **settings: object) -> Workspace:
    """A workspace in `home` that ignores the environment's `.env`; `as_of` as on the command line."""
    values = {"home": home, "project": CHECKOUT, **settings}
    loaded = Settings(_env_file=None, **values)  # type: ignore[arg-type]
    return Workspace(loaded, clock.parse_as_of(as_of, loaded.timezone))


def _columns(**types: str) -> dict[str, str]:
    return {column: kind for kind, columns in types.items() for column in columns.split()}


AUDIENCE = _columns(varchar="customer_id occurrence", date="entered_on", bigint="expected_value")
MARTS: dict[str, dict[str, str]] = {
    "customers": _columns(
        varchar="customer_id household_id prospect_id card_id given_name family_name email phone language timezone "
        "country home_store_id acquisition_source currency favourite_category favourite_store_id "
        "sentiment opinion_topic relationship_level tier next_tier favourite_product_id churn_risk offer_reason",
        bigint="points_to_next_tier receipts lines revenue average_basket returned_receipts recency_quintile "
        "frequency_quintile monetary_quintile days_since_last_purchase points_expiring "
        "satisfaction_score complaints messages_received messages_opened messages_clicked "
        "messages_unread best_hour favourite_weekday favourite_hour predicted_revenue",
        double="units median_days_between_purchases discount_share overdue_factor price_level "
        "chance_alive predicted_purchases",
        boolean="is_registered has_complaint_open has_email_consent has_sms_consent "
        "is_offer_advised",
        date="birth_date first_purchase_on last_purchase_on expected_next_purchase_on "
        "points_expire_on paused_until last_complaint_on last_read_on",
        timestamp="joined_at first_purchase_at last_purchase_at satisfaction_at",
    ),
    "transactions": {
        **{name: SQL_TYPES[kind] for name, kind in FEEDS["transactions"].columns.items()},
        "customer_id": "VARCHAR",
        "file_id": "BIGINT",
    },
    "customer_events": _columns(
        varchar="customer_id event occurrence", date="occurred_on", bigint="expected_value"
    ),
    "products": _columns(
        varchar="product_id name category subcategory brand currency", bigint="price unit_margin"
    ),
    "trials": _columns(varchar="customer_id trial", date="offered_on", boolean="is_offered"),
    "stores": _columns(varchar="store_id name city country timezone", date="opened_on"),
    "consents": _columns(
        varchar="customer_id channel purpose origin wording_version",
        boolean="granted",
        timestamp="recorded_at",
    ),
}
# What only the report, the results and a person's journey read; published where it is given.
REPORTING: dict[str, dict[str, str]] = {
    "customer_points": _columns(varchar="customer_id", date="given_on", bigint="points"),
    "known_as": _columns(varchar="customer_id into_customer_id"),
    "card_owners": _columns(
        varchar="card_id customer_id", boolean="is_last", timestamp="blocked_at"
    ),
    "target_progress": _columns(
        varchar="metric scope scope_id status",
        date="period_start period_end",
        double="target actual projected",
    ),
    "funnel": _columns(
        varchar="level",
        bigint="place people people_ever went_on average_revenue",
        double="conversion median_days",
    ),
    "relationship_transitions": _columns(
        varchar="customer_id level previous_level", date="changed_on"
    ),
    "level_moves": _columns(varchar="previous_level level", date="week_on", bigint="moves"),
    "cohorts": _columns(date="cohort_on", bigint="months_since customers active"),
    "sources": _columns(
        varchar="acquisition_source currency",
        bigint="people prospects customers cost cost_per_customer revenue margin profit place",
    ),
    "performance": _columns(
        varchar="scope scope_id name currency",
        bigint="receipts revenue margin revenue_before",
        double="units",
    ),
    "net_promoter_scores": _columns(
        date="month",
        bigint="answers promoters passives detractors",
        double="score low high change",
        boolean="has_fallen",
    ),
    "liability_by_month": _columns(
        varchar="currency",
        date="month",
        bigint="issued redeemed expired clawed_back outstanding liability",
    ),
    "liability_by_expiry": _columns(date="expires_in", bigint="points"),
    "liability_by_cohort": _columns(
        date="earned_in", bigint="points spent ended taken_back remaining"
    ),
    "deferral_by_month": _columns(varchar="currency", date="month", bigint="sales deferred"),
}
SOLD = {"line_id": "1", "product_id": "p", "quantity": 1, "discount": 0, "file_id": 1}


def line(
    transaction_id: str, customer_id: str | None, amount: int, **columns: Any
) -> dict[str, Any]:
    """A row of the `transactions` mart: a sale, or a return when `amount` is negative."""
    kind = "return" if amount < 0 else "sale"
    ids = {"transaction_id": transaction_id, "customer_id": customer_id, "amount": amount}
    return {**SOLD, "kind": kind, "currency": "EUR", "sold_at": "2026-03-01", **ids, **columns}


def publish(ws: Workspace, **marts: Rows) -> None:
    """Publish `marts` as a green build would; columns that a row does not name are null.

    Those of `MARTS` are there, empty, even when they are not given.
    """
    from pyarrow import parquet

    names = list(MARTS | marts)
    for mart in names:
        folder = ws.home.marts / "by-hand" / mart
        folder.mkdir(parents=True, exist_ok=True)
        made = _table((MARTS | REPORTING).get(mart, AUDIENCE), marts.get(mart, ()))
        parquet.write_table(made, folder / "rows.parquet")
    current = {
        "name": "by-hand",
        "as_of": ws.as_of.isoformat(),
        "marts": {mart: f"by-hand/{mart}/*.parquet" for mart in names},
    }
    (ws.home.marts / "current.json").write_text(json.dumps(current), encoding="utf-8")


def _table(columns: Mapping[str, str], rows: Rows) -> pa.Table:
    import pyarrow as pa

    types = {
        "varchar": pa.string(),
        "bigint": pa.int64(),
        "decimal(18,3)": pa.decimal128(18, 3),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }

    def column(name: str, kind: str) -> pa.Array:
        values = pa.array([row.get(name) for row in rows])
        if kind.startswith("decimal"):  # no whole number fits by itself
            values = values.cast(pa.float64())
        return values.cast(types[kind])

    return pa.table({name: column(name, kind.lower()) for name, kind in columns.items()})
