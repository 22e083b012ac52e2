"""The pass hashes addresses as everybody else does, whichever of its two ways it takes."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tessera.addresses import address_hash, mailbox
from tessera.decide.people import SQL, hash_all

pieces = st.text(st.sampled_from("aZ9.-_+% @ü\u0130\t\u00a0"), max_size=8)
addresses = st.one_of(
    st.emails(),
    st.builds("{}@{}.{}".format, pieces, pieces, pieces),
    st.from_regex(r"[A-Za-z0-9._%+-]{1,9}@([a-z0-9-]{1,5}\.){1,3}[a-z]{2,6}", fullmatch=True),
    st.text(max_size=12),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(addresses | st.none(), min_size=1, max_size=60))
@example(["ann@-x.example", "ann@x-.example", "a@b.co", "a" * 65 + "@shop.example", "a@b..example"])
def test_both_ways_agree_with_the_shared_function(emails: list[str | None]) -> None:
    with duckdb.connect() as duck:
        duck.create_function(
            "hash_of_address", hash_all, ["VARCHAR"], "VARCHAR", type=ARROW, null_handling=SPECIAL
        )
        duck.execute(SQL["hash_of"])
        duck.register("people", pa.table({"email": pa.array(emails, pa.string())}))
        found = duck.execute("select hash_of(email) from people").fetchall()
    shared = [address_hash(text) if text and mailbox(text) else None for text in emails]
    assert [row[0] for row in found] == shared
