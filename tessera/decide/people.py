"""People, by number: everybody who may be a candidate, and the members of each campaign among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from tessera.addresses import address_hash, mailbox
from tessera.decide import tables
from tessera.decide.holds import stale
from tessera.decide.members import Members
from tessera.decide.policy import ContactPolicy
from tessera.decide.reasons import Reason
from tessera.decide.tables import Course
from tessera.quoting import constant, literal
from tessera.store import queries
from tessera.warehouse import marts
from tessera.workspace import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SQL = queries("tessera.decide", "people.sql")
# columns that marts of earlier versions lack
LATER = {"satisfaction_score": "bigint", "satisfaction_at": "timestamp", "best_hour": "bigint"}


def gather(
    duck: DuckDBPyConnection, ws: Workspace, current: Sequence[Course], rules: ContactPolicy
) -> Members:
    """What the marts know: the people, and who of them is in which audience."""
    for name, value in _variables(ws, rules).items():
        duck.execute(f"set variable {name} = {constant(value)}")
    duck.create_function(
        "hash_of_address", hash_all, ["VARCHAR"], "VARCHAR", type=ARROW, null_handling=SPECIAL
    )
    duck.execute(SQL["reason"].format(reasons=", ".join(map(literal, Reason))))
    for macro in MACROS:
        duck.execute(SQL[macro])
    duck.execute(_bits_of(rules))
    parts = _person(duck, current, rules)
    campaigns = [course.campaign for course in current]
    for strangers in (NOBODY, parts["audiences"]):
        duck.execute(SQL["person"].format(**{**parts, "strangers": strangers}))
        members = Members.find(duck, campaigns, ws.business_date)
        if not members.are_unknown:
            break
    return members.of_known()


NOBODY = "select null as customer_id where false"


MACROS = ("stirred", "mixed", "bucket_of", "unit_of", "date_in", "hash_of", "hash_of_phone")


def _person(
    duck: DuckDBPyConnection, current: Sequence[Course], rules: ContactPolicy
) -> dict[str, str]:
    """The parts of the query `person` that depend on the marts and the rules."""
    named = sorted({f"audience_{c.campaign.audience}" for c in current if c.campaign.audience})
    known = marts.views(duck)
    audiences = [f"select customer_id from {one}" for one in named if one in known]
    columns = {row[0] for row in duck.execute("describe customers").fetchall()}
    shared = any(cap.per == "household" for cap in rules.limits)
    texts = any(course.campaign.channel == "sms" for course in current)
    household = "min(cid) over (partition by coalesce('h' || household_id, 'c' || customer_id))"
    return {
        "audiences": " union all ".join(audiences or [NOBODY]),
        "household": household if shared else "cid",
        "phone_hash": "hash_of_phone(phone)" if texts else "null::varchar",
        **{name: name if name in columns else f"null::{kind}" for name, kind in LATER.items()},
    }


def _bits_of(rules: ContactPolicy) -> str:
    """The macro that turns a message's tags into the bits of `tables.tag_bits`."""
    bits = [
        f"if(list_contains(string_split(concat('@', channel, ',@', purpose, ',', tags), ','), '{tag}'), {bit}, 0)"
        for tag, bit in tables.tag_bits(rules).items()
    ]
    return (
        f"create or replace macro bits_of(tags, channel, purpose) as ({' + '.join(['0', *bits])})"
    )


def _variables(ws: Workspace, rules: ContactPolicy) -> dict[str, object]:
    return {
        "as_of": tables.naive(ws.as_of),
        "today": ws.business_date,
        "since": tables.naive(rules.since(ws.as_of)),
        "language": ws.settings.language,
        "zone": ws.settings.timezone,
        "global_salt": tables.salt_of("*"),
        "global_control": round(rules.global_control_group_share * 10_000),
        "stale": stale(ws, rules),
    }


def hash_all(addresses: pa.ChunkedArray) -> pa.Array:
    """The hash of each address that mail can be sent to; null of every other."""
    return pa.array(
        [address_hash(text) if text and mailbox(text) else None for text in addresses.to_pylist()],
        pa.string(),
    )
