"""Hearing: a consent ledger nobody can rewrite, suppressions by cause, preferences, answers, sign-ups.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.Text()


def upgrade() -> None:
    consents()
    suppressions()
    events()
    people()


def consents() -> None:
    """A yes and a no of the same second are two rows, and no row ever changes."""
    op.create_table(
        "consent_ledger",
        sa.Column("consent_id", Id, primary_key=True, autoincrement=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("wording_version", sa.Text),  # of a yes: what exactly was agreed to
        sa.Column("proof", sa.Text),  # JSON: how we know that it was this person
        sa.UniqueConstraint(
            "customer_id", "channel", "purpose", "recorded_at", "granted", "origin"
        ),
    )
    columns = "customer_id, channel, purpose, granted, recorded_at, origin, wording_version"
    op.execute(
        f"insert into consent_ledger ({columns}) select {columns} from consent "
        "order by recorded_at, customer_id, channel, purpose"
    )
    op.drop_table("consent")
    op.rename_table("consent_ledger", "consent")
    for statement in immutable("consent"):
        op.execute(statement)


def suppressions() -> None:
    """An address may be suppressed for several causes; lifting one leaves the others."""
    op.create_table(
        "suppression_by_cause",
        sa.Column("address_hash", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.PrimaryKeyConstraint("address_hash", "channel", "scope", "cause"),
    )
    op.execute("insert into suppression_by_cause select * from suppression")
    op.drop_table("suppression")
    op.rename_table("suppression_by_cause", "suppression")
    op.create_table(
        "suppression_lift",  # what happened until then no longer suppresses, however late it is told
        sa.Column("address_hash", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("lifted_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("address_hash", "channel", "cause"),
    )


def events() -> None:
    # Only of events that count towards repeated blocks.
    op.add_column("provider_event", sa.Column("address_hash", sa.Text))
    op.create_index(
        "provider_event_by_address",
        "provider_event",
        ["address_hash", "occurred_at"],
        sqlite_where=sa.text("address_hash is not null"),
        postgresql_where=sa.text("address_hash is not null"),
    )
    judged = sa.text("event in ('delivered', 'spamreport')")
    op.create_index(
        "provider_event_judged",
        "provider_event",
        ["occurred_at", "event", "send_key"],
        sqlite_where=judged,
        postgresql_where=judged,
    )
    op.create_table(
        "unread_event",  # entries that do not say what happened when, addresses struck out
        sa.Column("entry_hash", sa.Text, primary_key=True),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
    )


def people() -> None:
    op.create_table(
        "preference",
        sa.Column("preference_id", Id, primary_key=True, autoincrement=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("recorded_at", Moment, nullable=False),
    )
    op.create_index("preference_by_customer", "preference", ["customer_id", "name"])
    op.create_index("preference_by_time", "preference", ["recorded_at"])
    op.execute(
        "create view current_preference as select customer_id, name, value, recorded_at "
        "from preference where not exists (select 1 from preference as later "
        "where later.customer_id = preference.customer_id and later.name = preference.name "
        "and later.preference_id > preference.preference_id)"
    )
    op.create_table(
        "answer",
        sa.Column("answer_id", Id, primary_key=True, autoincrement=True),
        sa.Column("send_key", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("answered_at", Moment, nullable=False),
        sa.CheckConstraint("score between 0 and 10", name="score_from_0_to_10"),
    )
    op.create_index("answer_by_message", "answer", ["send_key"])
    op.create_index("answer_by_time", "answer", ["answered_at"])
    op.create_table(
        "signup",
        sa.Column("signup_id", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("address_hash", sa.Text, nullable=False),
        sa.Column("given_name", sa.Text),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("wording_version", sa.Text, nullable=False),
        sa.Column("referred_by", sa.Text),  # the customer whose friend this is
        sa.Column("asked_at", Moment, nullable=False),
        sa.Column("confirmed_at", Moment),
        sa.Column("customer_id", sa.Text),  # whom the confirmed address belongs to
    )
    op.create_index("signup_by_address", "signup", ["address_hash", "asked_at"])
    op.create_index("signup_by_time", "signup", ["confirmed_at"])


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
