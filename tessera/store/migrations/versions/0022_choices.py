"""What a person chose last counts, under whichever of their numbers.

Revision ID: 0022
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Whose choice it is, where it comes from, and the number that the person goes by. Each part asks the indexes
# alone, for everybody as for one.
PARTS = [
    # one's own, and nobody is one by another number
    ("chosen.customer_id",
     "preference as chosen where not exists (select 1 from person_merge as merged "
     "where merged.customer_id = chosen.customer_id and merged.is_in_force = 1)",
     "chosen.customer_id"),
    # of those who were merged into this one
    ("merged.into_customer_id",
     "person_merge as merged inner join preference as chosen "
     "on merged.customer_id = chosen.customer_id where merged.is_in_force = 1",
     "merged.into_customer_id"),
    # and, by a number that was merged, of the one it was merged into, and of all that were
    ("merged.customer_id",
     "person_merge as merged inner join preference as chosen "
     "on merged.into_customer_id = chosen.customer_id where merged.is_in_force = 1",
     "merged.into_customer_id"),
    ("merged.customer_id",
     "person_merge as merged inner join person_merge as other "
     "on merged.into_customer_id = other.into_customer_id inner join preference as chosen "
     "on other.customer_id = chosen.customer_id "
     "where merged.is_in_force = 1 and other.is_in_force = 1",
     "merged.into_customer_id"),
]  # fmt: skip
LAST = (
    "and not exists (select 1 from preference as later where later.customer_id = {person} "
    "and later.name = chosen.name and later.preference_id > chosen.preference_id) "
    "and not exists (select 1 from person_merge as same inner join preference as later "
    "on same.customer_id = later.customer_id where same.into_customer_id = {person} "
    "and same.is_in_force = 1 and later.name = chosen.name "
    "and later.preference_id > chosen.preference_id)"
)


def upgrade() -> None:
    op.create_index("person_merge_by_into", "person_merge", ["into_customer_id"])
    op.execute("drop view current_preference")
    parts = [
        f"select {whose} as customer_id, chosen.name, chosen.value, chosen.recorded_at from {source} "
        + LAST.format(person=person)
        for whose, source, person in PARTS
    ]
    op.execute("create view current_preference as " + " union all ".join(parts))
