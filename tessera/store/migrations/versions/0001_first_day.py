"""The first day: manifest, consents, suppressions, outbox, events, ledger, runs.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers only INTEGER keys itself
Moment = sa.Text()  # ISO 8601 UTC, so that both databases compare and export it alike


def upgrade() -> None:
    landing()
    consent()
    sending()
    ledger()
    op.create_table(
        "run",
        sa.Column("run_id", Id, primary_key=True, autoincrement=True),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("as_of", Moment, nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("summary", sa.Text),
    )


def landing() -> None:
    op.create_table(
        "landed_file",
        sa.Column("file_id", Id, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("landed_at", Moment, nullable=False),
        # null until judged, then 'accepted' or 'refused'
        sa.Column("verdict", sa.Text),
        sa.Column("verdict_reason", sa.Text),
        sa.Column("judged_at", Moment),
        sa.Column("good_rows", sa.BigInteger),
        sa.Column("bad_rows", sa.BigInteger),
        sa.Column("first_date", sa.Text),
        sa.Column("last_date", sa.Text),
        sa.UniqueConstraint("source", "feed", "content_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "readmission",
        sa.Column("file_id", Id, nullable=False),
        sa.Column("row_number", sa.BigInteger, nullable=False),
        sa.Column("into_file_id", Id),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "row_number"),
    )


def consent() -> None:
    op.create_table(
        "consent",
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("wording_version", sa.Text),
        sa.PrimaryKeyConstraint("customer_id", "channel", "purpose", "recorded_at"),
    )
    op.create_table(
        "suppression",
        sa.Column("address_hash", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.PrimaryKeyConstraint("address_hash", "channel", "scope"),
    )


def sending() -> None:
    op.create_table(
        "outbox",
        sa.Column("message_id", Id, primary_key=True, autoincrement=True),
        sa.Column("send_key", sa.Text, nullable=False, unique=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("household_id", sa.Text),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("campaign_version", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("occurrence", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("decided_at", Moment, nullable=False),
        sa.Column("send_at", Moment, nullable=False),
        sa.Column("not_after", Moment, nullable=False),
        # ready, leased, calling, accepted, rejected, ambiguous, reconciled, cancelled
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("state_at", Moment, nullable=False),
        sa.Column("state_reason", sa.Text),
        sa.Column("request_id", Id),
        sa.Column("content_hash", sa.Text),
    )
    op.create_index("outbox_due", "outbox", ["state", "send_at"])
    op.create_index("outbox_by_customer", "outbox", ["customer_id", "send_at"])
    op.create_index("outbox_by_date", "outbox", ["business_date"])
    op.create_table(
        "provider_request",
        sa.Column("request_id", Id, primary_key=True, autoincrement=True),
        sa.Column("messenger", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("leased_by", sa.Text),
        sa.Column("leased_until", Moment),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("called_at", Moment),
        sa.Column("finished_at", Moment),
        sa.Column("status_code", sa.Integer),
        sa.Column("provider_id", sa.Text),
        sa.Column("error", sa.Text),
    )
    op.create_index("provider_request_by_state", "provider_request", ["state", "leased_until"])
    op.create_table(
        "provider_event",
        # derived from send key, event and time: providers repeat events under new ids
        sa.Column("event_key", sa.Text, primary_key=True),
        sa.Column("send_key", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("occurred_at", Moment, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("reason", sa.Text),
    )
    op.create_index("provider_event_by_send_key", "provider_event", ["send_key"])


def ledger() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", Id, primary_key=True, autoincrement=True),
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("owner_type", sa.Text, nullable=False),  # member or system
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        # null for system accounts: one hot row would queue every writer
        sa.Column("balance", sa.BigInteger),
        sa.UniqueConstraint("programme", "owner_type", "owner_id", "bucket"),
        sa.CheckConstraint("balance is null or balance >= 0", name="never_negative"),
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", Id, primary_key=True, autoincrement=True),
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("idem_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("debit_id", Id, sa.ForeignKey("account.account_id"), nullable=False),
        sa.Column("credit_id", Id, sa.ForeignKey("account.account_id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("source_type", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("rule_version", sa.Text, nullable=False),
        sa.Column("effective_at", Moment, nullable=False),
        sa.Column("posted_at", Moment, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.UniqueConstraint("programme", "idem_key"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    )
    op.create_index("transfer_by_date", "transfer", ["business_date"])
    op.create_index("transfer_by_debit", "transfer", ["debit_id"])
    op.create_index("transfer_by_credit", "transfer", ["credit_id"])
    for statement in immutable("transfer"):
        op.execute(statement)
    op.create_table(
        "balance_assertion",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("business_date", sa.Text, nullable=False),
        sa.Column("expected", sa.BigInteger, nullable=False),
        sa.Column("actual", sa.BigInteger, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("programme", "business_date"),
    )


def immutable(table: str) -> list[str]:
    """Triggers that refuse UPDATE and DELETE on `table`: a correction is a new row."""
    if op.get_bind().dialect.name == "sqlite":
        return [
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} rows are immutable'); end"
            for verb in ("update", "delete")
        ]
    return [
        f"create function {table}_refuse() returns trigger language plpgsql as "
        f"$$ begin raise exception '{table} rows are immutable'; end $$",
        f"create trigger {table}_immutable before update or delete on {table} "
        f"for each statement execute function {table}_refuse()",
    ]
