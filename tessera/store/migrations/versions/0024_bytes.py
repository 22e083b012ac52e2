"""PostgreSQL: texts are sorted by their bytes, as on SQLite and in DuckDB, whatever locale the database has.

A locale would order what is exported, and which of two lots pays first, otherwise; and an index sorted by one finds
nothing any more once the system's library sorts by another.

Revision ID: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

OURS = """
account answer answer_alert approval audit balance_assertion campaign_hold campaign_version card
consent domain_day erased_identifier erasure heard_file landed_file ledger_export lot member
outbox pace person_apart person_merge points_merge preference provider_batch provider_event
provider_request readmission redemption redemption_member referral referral_code reward_cursor
reward_file reward_grant reward_night run signup suppression suppression_lift tier_move till_key
till_request till_waiting transfer unread_event voucher voucher_terms voucher_use
"""  # a schema may hold tables of others
COLUMNS = sa.text(
    "select table_name, reltuples > 0 as has_rows, "
    "string_agg('alter ' || quote_ident(column_name) || ' type text collate \"C\"', ', ') as changes "
    "from information_schema.columns inner join pg_class on pg_class.oid = cast(table_name as regclass) "
    "where table_schema = current_schema() and data_type = 'text' and table_name = any(:ours) "
    "group by table_name, has_rows order by table_name"
)
VIEW = sa.text("select pg_get_viewdef(cast('current_preference' as regclass))")


def upgrade() -> None:
    """No row is written anew, but every index of a text is: a million transfers take some six seconds."""
    if (bind := op.get_bind()).dialect.name == "postgresql":
        view = bind.execute(VIEW).scalar_one()
        op.execute("drop view current_preference")  # else what it shows would have to stay as it is
        for table, has_rows, changes in bind.execute(COLUMNS, {"ours": OURS.split()}).all():
            op.execute(f"alter table {table} {changes}")
            if has_rows:  # what the planner knew of the columns went with the order
                op.execute(f"analyze {table}")
        bind.exec_driver_sql(f"create view current_preference as {view}")
