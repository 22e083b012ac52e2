"""The canonical feeds: what a landed row is, whatever the retailer's export looked like.

Types: `text`; `integer`; `decimal` (18,3); `money` (integer minor units of the row's currency);
`date`; `timestamp` (UTC); `boolean`. Every landed row also carries `_row_number` (1-based in its
file) and `_cast_errors` (column -> raw text, for values that are not of their column's type);
the file's number is the partition it lies in (`file_id=N`).
"""

from __future__ import annotations

from dataclasses import dataclass

SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(18,3)",
    "money": "BIGINT",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}


@dataclass(frozen=True)
class Feed:
    """One canonical feed: its columns with their types, and the columns that identify a row."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    required: tuple[str, ...]  # never null, the key included
    dated_by: str | None = None  # the column that says when the row happened


def _feed(
    name: str, /, key: str, required: str, dated_by: str | None = None, **columns: str
) -> tuple[str, Feed]:
    keys = tuple(key.split())
    return name, Feed(name, keys, columns, keys + tuple(required.split()), dated_by)


FEEDS: dict[str, Feed] = dict(
    [
        _feed(
            "customers",
            key="customer_id",
            required="",
            customer_id="text",
            household_id="text",
            given_name="text",
            family_name="text",
            email="text",
            phone="text",
            birth_date="date",
            language="text",
            timezone="text",
            country="text",
            city="text",
            postcode="text",
            home_store_id="text",
            acquisition_source="text",
            joined_at="timestamp",
        ),
        _feed(
            "cards",
            key="card_id",
            required="customer_id",
            card_id="text",
            customer_id="text",
            issued_at="timestamp",
            blocked_at="timestamp",
            replaced_by_card_id="text",
        ),
        _feed(
            "consents",
            key="customer_id channel purpose recorded_at",
            required="granted",
            dated_by="recorded_at",
            customer_id="text",
            channel="text",
            purpose="text",
            granted="boolean",
            recorded_at="timestamp",
            origin="text",
            wording_version="text",
        ),
        _feed(
            "transactions",
            key="transaction_id line_id",
            required="sold_at product_id quantity amount kind currency",
            dated_by="sold_at",
            transaction_id="text",
            line_id="text",
            card_id="text",
            store_id="text",
            sold_at="timestamp",
            timezone="text",
            product_id="text",
            quantity="decimal",
            amount="money",
            discount="money",
            coupon_code="text",
            kind="text",
            original_transaction_id="text",
            salesperson_id="text",
            currency="text",
        ),
        _feed(
            "products",
            key="product_id",
            required="",
            product_id="text",
            name="text",
            category="text",
            subcategory="text",
            brand="text",
            price="money",
            unit_margin="money",
            currency="text",
        ),
        _feed(
            "stores",
            key="store_id",
            required="",
            store_id="text",
            name="text",
            city="text",
            country="text",
            timezone="text",
            opened_on="date",
        ),
        _feed(
            "prospects",
            key="prospect_id",
            required="created_at",
            dated_by="created_at",
            prospect_id="text",
            given_name="text",
            family_name="text",
            email="text",
            phone="text",
            language="text",
            timezone="text",
            country="text",
            acquisition_source="text",
            created_at="timestamp",
            notes="text",
        ),
        _feed(
            "interactions",
            key="interaction_id",
            required="kind occurred_at",
            dated_by="occurred_at",
            interaction_id="text",
            customer_id="text",
            prospect_id="text",
            kind="text",
            channel="text",
            occurred_at="timestamp",
            topic="text",
            body="text",
            score="integer",
            status="text",
            cost="money",
            currency="text",
        ),
        _feed(
            "source_costs",
            key="acquisition_source period_start",
            required="cost currency",
            dated_by="period_start",
            acquisition_source="text",
            period_start="date",
            period_end="date",
            cost="money",
            currency="text",
        ),
        _feed(
            "targets",
            key="metric scope scope_id period_start",
            required="period_end target",
            dated_by="period_start",
            metric="text",
            scope="text",
            scope_id="text",
            period_start="date",
            period_end="date",
            target="decimal",
        ),
        # The engine's own rows, which come back by the front door (source `engine`).
        _feed(
            "messages",
            key="send_key",
            required="customer_id campaign step channel purpose state business_date",
            dated_by="business_date",
            send_key="text",
            customer_id="text",
            household_id="text",
            campaign="text",
            step="text",
            occurrence="text",
            channel="text",
            purpose="text",
            state="text",
            send_at="timestamp",
            state_at="timestamp",
            business_date="date",
        ),
        _feed(
            "message_events",
            key="event_key",
            required="send_key event occurred_at",
            dated_by="occurred_at",
            event_key="text",
            send_key="text",
            event="text",
            occurred_at="timestamp",
        ),
        _feed(
            "preferences",
            key="preference_id",
            required="customer_id name recorded_at",
            dated_by="recorded_at",
            preference_id="text",
            customer_id="text",
            name="text",
            value="text",
            recorded_at="timestamp",
        ),
        _feed(
            "point_transfers",
            key="programme idem_key",
            required="kind debit credit amount business_date",
            dated_by="business_date",
            programme="text",
            idem_key="text",
            kind="text",
            debit="text",
            credit="text",
            customer_id="text",
            amount="integer",
            source_id="text",
            rule="text",
            effective_at="timestamp",
            business_date="date",
        ),
        _feed(
            "person_merges",
            key="customer_id",
            required="into_customer_id is_in_force recorded_at",
            customer_id="text",
            into_customer_id="text",
            is_in_force="boolean",
            recorded_at="timestamp",
        ),
    ]
)
