"""Decisions in words: each word is there once, and the many rows hold its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tessera.decide.contenders import Numbers

NONE = -1
# Where a column's word is found; the first that has one. A message planned earlier today keeps what it was
# planned with.
SOURCES = {
    "campaign": ("course.campaign",),
    "campaign_version": ("planned.campaign_version", "course.version"),
    "step": ("planned.step", "step.step"),
    "variant": ("planned.variant", "content.variant", "nothing.text"),
    "channel": ("planned.channel", "course.channel"),
    "purpose": ("planned.purpose", "course.purpose"),
    "tags": ("planned.tags", "course.tags"),
    "template": ("planned.template", "content.template", "step.template"),
    "language": ("planned.language", "people.language"),
    "timezone": ("planned.timezone", "slot.zone"),
}


def coded(*columns: pa.ChunkedArray) -> tuple[pa.Array, list[Numbers]]:
    """The different texts of some columns in the order of the alphabet, so that the same rows are the same
    bytes, and each column as the numbers of its texts; nothing is NONE."""
    every = pa.chunked_array([chunk for one in columns for chunk in one.chunks], pa.string())
    found = whole(every).dictionary_encode()
    order = pc.sort_indices(found.dictionary)
    place = np.full(len(order) + 1, NONE, np.int32)
    place[order.to_numpy()] = np.arange(len(order))
    numbers = place[found.indices.fill_null(NONE).to_numpy()]
    ends = np.cumsum([len(one) for one in columns])[:-1]
    return found.dictionary.take(order), np.split(numbers, ends)


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def as_words(numbers: Numbers, texts: pa.Array) -> pa.DictionaryArray:
    """A column of those texts that it has."""
    used = np.flatnonzero(np.bincount(numbers + 1, minlength=len(texts) + 1)[1:])
    place = np.zeros(len(texts) + 1, np.int32)
    place[used] = np.arange(len(used))
    mask = numbers < 0
    indices = pa.array(place[numbers], mask=mask if mask.any() else None)
    return pa.DictionaryArray.from_arrays(indices, texts.take(pa.array(used)))


class Wording:
    """The words of the small tables, for rows that name their places in them."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        given = {**tables, "nothing": pa.table({"text": [""]})}
        self._coded: dict[str, tuple[pa.Array, list[tuple[str, Numbers]]]] = {}
        for name, sources in SOURCES.items():
            named = [source.split(".") for source in sources]
            texts, numbers = coded(*(given[table][column] for table, column in named))
            them = zip((table for table, _ in named), numbers, strict=True)
            # The last is of who is in no place.
            self._coded[name] = (
                texts,
                [(table, np.append(its, NONE)) for table, its in them if len(its)],
            )

    def columns(self, places: Mapping[str, Numbers]) -> Iterable[tuple[str, pa.Array]]:
        """Each column with its words; `places` by table, NONE where there is none."""
        count = len(places["course"])
        at = {name: _once(its) for name, its in places.items()} | {"nothing": np.zeros(1, int)}
        for name, (texts, sources) in self._coded.items():
            found: Numbers = np.full(1, NONE, np.int32)
            for table, numbers in sources:
                found = np.where(found < 0, numbers[at[table]], found)
            yield (
                name,
                as_words(found, texts) if len(found) == count else _same(found, texts, count),
            )


def _once(places: Numbers) -> Numbers:
    """One for all when they are all the same, as most are of one campaign's candidates."""
    return places[:1] if len(places) and places.min() == places.max() else places


def _same(number: Numbers, texts: pa.Array, count: int) -> pa.DictionaryArray:
    if number[0] < 0:
        return as_words(np.full(count, NONE), texts)
    return same(texts.take(pa.array(number)), count)


def same(word: pa.Array, count: int) -> pa.DictionaryArray:
    """The one word for all."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), word)
