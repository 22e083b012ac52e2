"""Households in parts: each whole, in one of them, and known there by its place."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.decide.parts import Parts

GID = np.array([0, 1, 2, 1, 4, 2, 6, 4, 1], np.int32)  # by person: whose household it is
GOT = {"gid": np.array([1, 1, 4, 6], np.int32), "cid": np.array([3, 8, 7, 6], np.int32)}


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_whoever_is_open_is_in_one_part_with_the_whole_household(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("tessera.decide.parts.AT_ONCE", at_once)
    monkeypatch.setattr("tessera.decide.parts.LOOK", 4)
    given = {
        "cid": np.arange(1, 9, dtype=np.int32),
        "course_id": np.array([0, 0, 0, 0, 0, 1, 1, 1], np.int16),
        "reason": np.array([-1, 3, -1, -1, -1, -1, -1, -1], np.int8),
        "ahead": np.array([0, 0, 0, 0, 0, 1, 3, 0], np.int16),
    }
    person = {"gid": GID, "level": np.arange(9, dtype=np.int32) * 10}
    parts = Parts(person)
    of = parts.of(given, np.array([0, 1]), 2, np.array([4]))
    assert [row for row, part in enumerate(of.tolist()) if part >= 0] == [0, 2, 3, 5]
    seen: list[int] = []
    for number in range(len(parts)):
        row = np.flatnonzero(of == number)
        part = parts.one(number, row, given["cid"][row], GOT)
        who = part.person["level"] // 10  # each person's own number
        assert {GID[one] for one in who.tolist()}.isdisjoint(GID[seen].tolist())
        seen += who.tolist()
        assert who[part.cid].tolist() == given["cid"][row].tolist()
        assert GID[who[part.got["cid"]]].tolist() == [
            its for its in GOT["gid"].tolist() if its in GID[who]
        ]
        same = part.person["gid"][:, None] == part.person["gid"]
        assert (same == (GID[who][:, None] == GID[who])).all()
        assert (part.person["gid"][part.got["cid"]] == part.got["gid"]).all()
    assert sorted(seen) == list(range(9))
