"""Reward: on PostgreSQL, what transfers and moves of lots name is looked up once for all rows of a statement. Its own
foreign keys ask for each row, and lock the row they find: an ending of points found the one account of what ended as
often as it had rows, and two connections at it waited for each other.

Revision ID: 0023
"""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

NAMES = {
    "transfer": {"debit_id": ("account", "account_id"), "credit_id": ("account", "account_id")},
    "lot_move": {"transfer_id": ("transfer", "transfer_id"), "lot_id": ("lot", "lot_id")},
}
STAYS = {"account": "account_id", "lot": "lot_id"}  # transfers are immutable already


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, named in NAMES.items():
            refers(table, named)
        for table, key in STAYS.items():
            stays(table, key)


def refers(table: str, named: dict[str, tuple[str, str]]) -> None:
    """Rows of `table` must name what is there: a look for each, never a join, as the plan is kept, for one row
    or a million. The view has those that do not, for whoever lets rows in with the trigger off."""
    places = [
        (column, f"from {other} as named where named.{key}")
        for column, (other, key) in named.items()
    ]
    looks = [f"(select true {place} = added.{column}) is null" for column, place in places]
    parts = [
        f"select true as is_astray from {table} where not exists (select {place} = {table}.{column})"
        for column, place in places
    ]
    op.execute(f"create view {table}_astray as {' union all '.join(parts)}")
    op.execute(
        f"create function {table}_refers() returns trigger language plpgsql as $$ begin "
        f"if exists (select from added where {' or '.join(looks)}) then "
        f"raise foreign_key_violation using message = 'a {table} names what is not there'; "
        "end if; return null; end $$"
    )
    op.execute(
        f"create trigger {table}_refers after insert on {table} referencing new table as added "
        f"for each statement execute function {table}_refers()"
    )
    for column in named:
        op.execute(f"alter table {table} drop constraint {table}_{column}_fkey")


def stays(table: str, key: str) -> None:
    """Nothing is taken from `table`, so that what is named stays there."""
    op.execute(
        f"create function {table}_refuse() returns trigger language plpgsql as "
        f"$$ begin raise foreign_key_violation using message = '{table} rows stay'; end $$"
    )
    op.execute(
        f"create trigger {table}_stays before delete or update of {key} on {table} "
        f"for each statement execute function {table}_refuse()"
    )
