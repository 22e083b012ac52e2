"""The rows of a table as the entry means them: joined to what lies beside, one for each of a list, without
those that are not meant. A row that cannot be read stays one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tessera.documents import nearest
from tessera.errors import BadInput
from tessera.land.table import Table
from tessera.quoting import name

SPREAD = """(
    select row_number() over ({order}) as _row_number,
        * exclude ("row read", "place in it", "element"), "element" as {own}
    from (
        select * exclude ("elements"), generate_subscripts("elements", 1) as "place in it",
            unnest("elements") as "element"
        from (
            select _row_number as "row read", * exclude (_row_number, {own}), {elements} as "elements"
            from {relation}
        )
    )
)"""


def joined(table: Table, other: Table, key: Mapping[str, str]) -> Table:
    """Each row with the columns of the one of `other` that has its key, of several the last; a column that
    both have is the row's own."""
    own = {column.casefold() for column in table.columns}
    gained = {c: kind for c, kind in other.columns.items() if c.casefold() not in own}
    keys = {name(f"key {i}"): pair for i, pair in enumerate(key.items())}
    told = ", ".join(
        [*map(name, gained), *(f"{_text(theirs)} as {k}" for k, (_, theirs) in keys.items())]
    )
    same = " and ".join(f"{_text(mine, 'own.')} = {k}" for k, (mine, _) in keys.items())
    last = (
        f"(select {told} from {other.relation} where _row is null "
        f"qualify row_number() over (partition by {', '.join(keys)} order by _row_number desc) = 1)"
    )
    columns = "".join(f", {name(column)}" for column in gained)
    return replace(
        table,
        columns={**table.columns, **gained},
        relation=f"(select own.*{columns} from {table.relation} as own left join {last} on {same})",
        careful=_careful(table, lambda t: joined(t, read_carefully(other), key)),
        text=other.text if other.text and other.text.damaged else table.text,
    )


def lonely(table: Table, other: Table, key: Mapping[str, str]) -> str:
    """SQL: how many rows of `other` no row of `table` belongs to, those that cannot be read included."""
    same = " and ".join(
        f"{_text(mine, 'own.')} = {_text(theirs, 'o.')}" for mine, theirs in key.items()
    )
    return f"select count(*) from {other.relation} as o where not exists (from {table.relation} as own where {same})"


def spread(table: Table, column: str, *, in_order: bool = True) -> Table:
    """A row for each element of the list in `column`, which holds that element then; one row without any
    where there is no list, or nothing in it. What comes `in_order` is numbered as it comes: to sort it keeps
    all of the file in memory."""
    kind, own = table.columns[column], name(column)
    if kind.endswith("[]"):
        elements, kind = f"case when len({own}) > 0 then {own} else [null] end", kind[:-2]
    else:  # what is no list, such as the single object that some write who have but one, is the element
        listed = (
            f"case when json_array_length({own}) > 0 then json_extract_string({own}, '$[*]') end"
        )
        elements, kind = f"coalesce(try({listed}), [{own}])", "VARCHAR"
    order = "" if in_order else 'order by "row read", "place in it"'
    return replace(
        table,
        columns={**table.columns, column: kind},
        relation=SPREAD.format(own=own, elements=elements, relation=table.relation, order=order),
        careful=_careful(table, lambda t: spread(t, column, in_order=in_order)),
    )


def kept(table: Table, condition: str) -> Table:
    """Without the rows of which `condition` is false; where that cannot be told the row stays, to be judged."""
    return replace(
        table,
        relation=f"(from {table.relation} where {_is_kept(condition)})",
        careful=_careful(table, lambda t: kept(t, condition)),
    )


def left_out(table: Table, condition: str) -> str:
    """SQL: how many rows of `table` are not kept."""
    return f"select count(*) from {table.relation} where not {_is_kept(condition)}"


def find(table: Table, column: str, *, file: str, key: str) -> str:
    """What the table calls `column`, in whatever case; BadInput says that `key` names one that is none."""
    own = {found.casefold(): found for found in table.columns}
    if column.casefold() not in own:
        raise BadInput(
            f"{file} has no column '{column}', which '{key}' names.{nearest(column, table.columns)} "
            "Set the export or the mapping right."
        )
    return own[column.casefold()]


def _is_kept(condition: str) -> str:
    return f"(_row is not null or coalesce(try(cast(({condition}\n) as boolean)), true))"


def _text(column: str, of: str = "") -> str:
    return f"trim(cast({of}{name(column)} as varchar))"


def read_carefully(table: Table) -> Table:
    """The table, of a file that breaks the rules of CSV somewhere."""
    return table.careful() if table.careful else table


def _careful(table: Table, make: Callable[[Table], Table]) -> Callable[[], Table] | None:
    """What is made of the table as it is to be read when it breaks the rules."""
    return lambda: make(read_carefully(table))
