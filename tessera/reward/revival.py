"""Points that had ended when a return or a correction takes them: nobody could spend them any more, so
that nobody owes them. They come back from the account of what ended, and are taken in the same transaction."""

from __future__ import annotations

import pyarrow as pa

from tessera.reward import ledger, merging, night
from tessera.reward.night import Night
from tessera.store import Connection, queries

SQL = queries("tessera.reward", "revival.sql")


def revive(tonight: Night, store: Connection, asked: pa.Table) -> int:
    """Bring back what has ended of what is `asked` (of whom, of which receipt and rule, how many points,
    when); how many transfers that took. They have their own end, which is over: what is not taken ends again."""
    breakage = store.scalar(night.SQL["breakage"], programme=tonight.name)
    if breakage is None or not asked.num_rows:
        return 0
    before = int(store.scalar(ledger.SQL["last_transfer"]))
    store.run(SQL["ask"])
    store.insert("asked", asked)
    store.count_anew("asked", asked.num_rows)
    posted = store.run(SQL["revive"], breakage=breakage, **tonight.due)
    store.run(SQL["drop_asked"])
    if posted:
        last = int(store.scalar(ledger.SQL["last_transfer"]))
        ledger.move_balances(store, before)
        store.run(merging.SQL["give_lots"], first=before + 1, last=last)
    return posted
