"""What counts under the caps, and whether there is room for one more message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tessera.decide.contenders import Numbers
from tessera.decide.wording import NONE

Cap = Mapping[str, Any]
REFUSALS = ("capped", "outranked", "reserved")  # in the order in which they are asked
AHEAD = 1 << 40  # more than any rank


class Messages:
    """What counts: of other days (rank 0) and today's, by household in chains, the newest first."""

    KINDS: Mapping[str, type] = {
        "cid": np.int32, "bits": np.int64, "second": np.int64, "rank": np.int64, "step": np.int32,
        "ahead": np.int32, "said": np.int32, "template": np.int32, "older": np.intp,
    }  # fmt: skip

    def __init__(self, people: int) -> None:
        self.newest = np.full(people, NONE)
        self.count = 0
        self.column: dict[str, Numbers] = {
            name: np.empty(0, kind) for name, kind in self.KINDS.items()
        }

    def add(self, gid: Numbers, **values: Numbers | int) -> None:
        """Those of one household must come one after the other."""
        start, self.count = self.count, self.count + len(gid)
        self._grow()
        for name, its in values.items():
            self.column[name][start : self.count] = its
        numbers = np.arange(start, self.count)
        is_again = np.zeros(len(gid), bool)
        is_again[1:] = gid[1:] == gid[:-1]
        self.column["older"][start : self.count] = np.where(is_again, numbers - 1, self.newest[gid])
        is_last = np.ones(len(gid), bool)
        is_last[:-1] = ~is_again[1:]
        self.newest[gid[is_last]] = numbers[is_last]

    def _grow(self) -> None:
        room = len(self.column["cid"])
        if self.count > room:
            more = max(self.count - room, room // 2)
            for name, its in self.column.items():
                self.column[name] = np.concatenate([its, np.empty(more, its.dtype)])

    def pairs(self, gid: Numbers) -> tuple[Numbers, Numbers]:
        """For every one of `gid` the messages of that household: the place of the one, the number of the other."""
        who, here = np.arange(len(gid)), self.newest[gid]
        found = [(who[:0], here[:0])]
        while len(who):
            some = here >= 0
            who, here = who[some], here[some]
            found.append((who, here))
            here = self.column["older"][here]
        return np.concatenate([one for one, _ in found]), np.concatenate([at for _, at in found])


@dataclass(frozen=True)
class Contest:
    """One candidate each of many households: who, how it counts, the seconds of its slot, and its rank."""

    place: Numbers  # among the contenders
    cid: Numbers
    gid: Numbers
    bits: Numbers
    level: Numbers
    pace: Numbers
    opens: Numbers
    closes: Numbers
    rank: Numbers
    ahead: Numbers  # days; 0: for today
    step: Numbers
    said: Numbers
    template: Numbers
    may_repeat: Numbers

    def __len__(self) -> int:
        return len(self.place)

    def narrowed(self, some: Numbers) -> Contest:
        return Contest(**{name: its[some] for name, its in vars(self).items()})

    def is_under(self, cap: Cap) -> Numbers:
        """Whether the cap holds for it."""
        under: Numbers = (self.bits & cap["tag_bits"]) == cap["tag_bits"]
        if cap["level"] is not None:
            under = under & (self.level == cap["level"])
        if cap["pace"] is not None:
            under = under & (self.pace == cap["position"])
        return under


class Near:
    """Each contest beside each message of its household."""

    def __init__(self, contest: Contest, messages: Messages) -> None:
        self.contest, self.column = contest, messages.column
        self.who, self.at = messages.pairs(contest.gid)
        self.second, self.rank = self.column["second"][self.at], self.column["rank"][self.at]
        self.bits, self.is_coming = self.column["bits"][self.at], self.column["ahead"][self.at] > 0
        self.is_own = self.column["cid"][self.at] == contest.cid[self.who]
        self.since_open = self.second - contest.opens[self.who]
        self.till_close = self.second - contest.closes[self.who]

    def counted(self, cap: Cap, under: Numbers) -> Numbers:
        """The pairs that the cap counts at any instant of the slot."""
        counts = under[self.who] & ((self.bits & cap["tag_bits"]) == cap["tag_bits"])
        counts &= (self.since_open > -cap["span"]) & (self.till_close < cap["span"])
        return np.flatnonzero(counts if cap["per_household"] else counts & self.is_own)

    def count(self, pairs: Numbers) -> Numbers:
        """How many of the pairs each contest has."""
        return np.bincount(self.who[pairs], minlength=len(self.contest))

    def highest(self, pairs: Numbers, order: Numbers) -> Numbers:
        """Of each contest's pairs the message that is highest in `order`."""
        who = self.who[pairs]
        best = np.full(len(self.contest), np.iinfo(np.int64).min)
        np.maximum.at(best, who, order)
        is_best = order == best[who]
        found = np.full(len(self.contest), NONE, np.int32)
        found[who[is_best]] = self.at[pairs[is_best]]
        return found


@dataclass
class Refusal:
    """Why there is no room at the start of the slot: the first cap of each kind of reason, and the message
    that has the place. `is_movable`: the slot's end might do."""

    count: int
    is_full: Numbers = field(init=False)
    is_movable: Numbers = field(init=False)
    position: dict[str, Numbers] = field(init=False)
    by: dict[str, Numbers] = field(init=False)

    def __post_init__(self) -> None:
        self.is_full, self.is_movable = np.zeros(self.count, bool), np.ones(self.count, bool)
        self.position = {name: np.full(self.count, NONE, np.int32) for name in REFUSALS}
        self.by = {name: np.full(self.count, NONE, np.int32) for name in REFUSALS}

    def note(self, name: str, some: Numbers, cap: Cap, by: Numbers | None = None) -> None:
        some = some & (self.position[name] < 0)
        self.position[name][some] = cap["position"]
        if by is not None:
            self.by[name][some] = by[some]

    def first(self) -> tuple[Numbers, Numbers, Numbers]:
        """Of each the reason, by its place among REFUSALS, the cap and the message."""
        reason = np.select(
            [self.position[name] >= 0 for name in REFUSALS], range(len(REFUSALS)), NONE
        )
        position, by = (
            np.choose(reason, list(its.values()), mode="clip") for its in (self.position, self.by)
        )
        return reason, position, by


def refusal(contest: Contest, near: Near, caps: Sequence[Cap]) -> Refusal:
    """A cap counts the messages less than its span away on either side, so that no span of that length ever
    holds more: at the start of the slot and at its end."""
    found = Refusal(len(contest))
    for cap, under, counted in _met(contest, near, caps):
        now = counted[near.since_open[counted] < cap["span"]]
        late = counted[near.till_close[counted] >= -cap["span"]]
        found.is_movable &= ~(under & (near.count(late) >= cap["most"]))
        full = under & (near.count(now) >= cap["most"])
        if full.any():
            found.is_full |= full
            _explain(found, near, cap, now[full[near.who[now]]], full)
    return found


def _met(
    contest: Contest, near: Near, caps: Sequence[Cap]
) -> Iterator[tuple[Cap, Numbers, Numbers]]:
    for cap in caps:
        under = contest.is_under(cap)
        if under.any():
            yield cap, under, near.counted(cap, under)


def _explain(found: Refusal, near: Near, cap: Cap, now: Numbers, full: Numbers) -> None:
    """Those of earlier days fill it (`sent`); those that are sure to go (`firm`), of which it is the worst that
    goes before, or the best that goes after; or the last that is yet to come."""
    sent = full & (near.count(now[near.rank[now] == 0]) >= cap["most"])
    firm = full & (near.count(now[~near.is_coming[now]]) >= cap["most"])
    found.note("capped", sent, cap)
    todays = now[near.rank[now] > 0]
    rank, own = near.rank[todays], near.contest.rank[near.who[todays]]
    order = np.where(rank <= own, rank + AHEAD, -rank)
    found.note("outranked", firm & ~sent, cap, near.highest(todays, order))
    coming = now[near.is_coming[now]]
    order = (near.second[coming] << 32) + near.rank[coming]
    found.note("reserved", full & ~firm, cap, near.highest(coming, order))


def later(contest: Contest, near: Near, caps: Sequence[Cap]) -> tuple[Numbers, Numbers]:
    """The first instant of its slot at which a contest fits, and whether it does: when, under every cap, the
    oldest of as many messages as it allows has fallen out of its span."""
    free, met = contest.opens.copy(), list(_met(contest, near, caps))
    for cap, _, counted in met:
        order = counted[np.lexsort((-near.second[counted], near.who[counted]))]
        who = near.who[order]
        last = np.arange(len(who)) - np.searchsorted(who, who) == cap["most"] - 1
        free[who[last]] = np.maximum(free[who[last]], near.second[order[last]] + cap["span"])
    fits = np.ones(len(contest), bool)
    for cap, under, counted in met:
        away = np.abs(near.second[counted] - free[near.who[counted]])
        fits &= ~under | (near.count(counted[away < cap["span"]]) < cap["most"])
    return free, fits


def rivals(contest: Contest, near: Near) -> Numbers:
    """What a person gets today that is the same step, or the same content where that may not come twice: the
    first such message, if any."""
    said, template = near.column["said"][near.at], near.column["template"][near.at]
    is_alike = said == contest.said[near.who]
    is_alike |= (template == contest.template[near.who]) & ~contest.may_repeat[near.who]
    pairs = np.flatnonzero(near.is_own & (said >= 0) & is_alike)
    return near.highest(pairs, -near.rank[pairs])
