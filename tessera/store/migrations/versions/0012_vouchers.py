"""Vouchers, what is spent at the tills, their keys, cards and referrals.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    vouchers()
    tills()
    cards()


def vouchers() -> None:
    op.create_table(
        # What a code promised when it was given: the programme file may say something else later.
        "voucher_terms",
        sa.Column("terms", sa.Text, primary_key=True),  # a hash of the body
        sa.Column("reward", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),  # JSON
    )
    op.create_table(
        # A code. Whether it is reserved, given, used up or free again follows from its message
        # (reward_grant, outbox) and its uses; only its withdrawal is written down.
        "voucher",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("reward", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, sa.ForeignKey("voucher_terms.terms"), nullable=False),
        sa.Column("batch", sa.Text),  # of a pool's codes: those that were made or imported together
        sa.Column("customer_id", sa.Text),  # the only one who may use it
        sa.Column("uses", sa.BigInteger, nullable=False),  # how often it may be used
        sa.Column("valid_from", sa.Text),
        sa.Column("valid_until", sa.Text),  # the printed day: through its end, in the shop's zone
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("withdrawn_at", sa.Text),
        sa.CheckConstraint("uses > 0", name="voucher_can_be_used"),
    )
    op.create_index("voucher_by_reward", "voucher", ["reward", "batch"])
    op.create_index("voucher_by_customer", "voucher", ["customer_id"])


def tills() -> None:
    op.create_table(
        "till_key",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),  # SHA-256 of the secret, which is kept nowhere
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("revoked_at", sa.Text),
    )
    op.create_table(
        # Each request that changed something, and what was answered: never pruned, because a till
        # may have been without a line for weeks.
        "till_request",
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("idem_key", sa.Text, nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("status", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),  # JSON
        sa.Column("at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "idem_key"),
    )
    op.create_table(
        # What a till did without a line and what waits for something that is still to come: the
        # card's enrolment, the redemption that it takes back.
        "till_waiting",
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("idem_key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),  # JSON
        sa.Column("at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "idem_key"),
    )
    op.create_table(
        # Points and vouchers being spent on one receipt. A hold that is past its time holds nothing.
        "redemption",
        sa.Column("redemption_id", sa.Text, primary_key=True),  # opaque, and known to its till
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("held_until", sa.Text),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("points_back", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("paid", sa.BigInteger, nullable=False),  # by the points, in minor units
        sa.Column("discount", sa.BigInteger, nullable=False),  # by the vouchers
        sa.Column("basket", sa.Text),  # JSON: what a return is judged against
        sa.Column("receipt_id", sa.Text),
        sa.Column("at", sa.Text, nullable=False),
        sa.CheckConstraint("state in ('held', 'used', 'void')", name="redemption_state"),
        sa.CheckConstraint("points_back between 0 and points", name="no_more_back"),
    )
    op.create_index("redemption_held", "redemption", ["held_until"])
    op.create_table(
        # Whose it was; erasing a person takes the row away, and the code stays used.
        "redemption_member",
        sa.Column("redemption_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
    )
    op.create_index("redemption_by_member", "redemption_member", ["customer_id"])
    op.create_table(
        "voucher_use",
        sa.Column("redemption_id", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("discount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("redemption_id", "code"),
    )
    op.create_index("voucher_use_by_code", "voucher_use", ["code"])


def cards() -> None:
    op.create_table(
        # The cards that tills know: the models' by night, and those handed out since.
        "card",
        sa.Column("card_id", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("replaced_by_card_id", sa.Text),
        sa.Column("origin", sa.Text, nullable=False),  # models, till
        sa.Column("changed_at", sa.Text, nullable=False),
    )
    op.create_index("card_by_customer", "card", ["customer_id"])
    op.create_index("card_by_time", "card", ["changed_at"])
    op.create_table(
        # What a till may say to a member.
        "member",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("given_name", sa.Text),
        sa.Column("tier", sa.Text),
    )
    op.create_table(
        "referral_code",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("customer_id", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        # A friend, and who brought them: one each. What became of it is written once.
        "referral",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("referred_by", sa.Text),
        sa.Column("device", sa.Text),  # a keyed hash of what the till's app said
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text),  # rewarded, or why not
        sa.Column("receipt_id", sa.Text),
        sa.Column("judged_at", sa.Text),
    )
    op.create_index("referral_by_referrer", "referral", ["referred_by"])
    op.create_index("referral_by_device", "referral", ["device"])
