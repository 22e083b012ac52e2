"""A hundred stores send a small file each, each night: what that must not cost."""

from __future__ import annotations

from tessera.warehouse.inputs import spans


def test_new_files_are_told_by_their_bounds_however_many_there_are() -> None:
    files = range(7, 40_000, 3)  # other feeds have the numbers between
    assert spans(files, set(files)) == [(7, 39_997)]
    assert spans(files, {39_994, 39_997}) == [(39_994, 39_997)]
    late = {7, 10, 100, 39_997}  # refused at first, and allowed later
    assert spans(files, late) == [(7, 10), (100, 100), (39_997, 39_997)]
    assert spans(files, set()) == spans([], {7}) == []
