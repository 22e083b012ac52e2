"""Reward: on SQLite the moves of lots lie in the order of their key, once, and not beside an index of it.

Revision ID: 0019
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# SQLite changes no table in this: it is made anew. PostgreSQL has its keys beside its rows always.
ANEW = (
    """
    create table moved_anew (
        transfer_id integer not null references transfer (transfer_id),
        lot_id integer not null references lot (lot_id),
        delta bigint not null,
        primary key (transfer_id, lot_id),
        constraint delta_moves check (delta <> 0)
    ) without rowid
    """,
    "insert into moved_anew select transfer_id, lot_id, delta from lot_move order by transfer_id, lot_id",
    "drop table lot_move",
    "alter table moved_anew rename to lot_move",
    "create index lot_move_by_lot on lot_move (lot_id)",
    *(
        f"create trigger lot_move_no_{verb} before {verb} on lot_move "
        "begin select raise(abort, 'lot_move rows are immutable'); end"
        for verb in ("update", "delete")
    ),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for statement in ANEW:
            op.execute(statement)
