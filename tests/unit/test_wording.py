"""Words are there once, and rows hold their numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tessera.decide.wording import as_words, coded


def test_texts_are_numbered_by_the_alphabet_whoever_has_them_first() -> None:
    one, other = pa.chunked_array([["b", None], ["a"]]), pa.chunked_array([["c", "b"]])
    texts, (its, others) = coded(one, other)
    assert texts.to_pylist() == ["a", "b", "c"]
    assert its.tolist() == [1, -1, 0]
    assert others.tolist() == [2, 1]


def test_a_column_has_the_words_it_uses_and_no_others() -> None:
    found = as_words(np.array([2, -1, 2, 0]), pa.array(["a", "b", "c"]))
    assert found.to_pylist() == ["c", None, "c", "a"]
    assert found.dictionary.to_pylist() == ["a", "c"]


def test_nothing_is_said_where_there_are_no_words() -> None:
    assert as_words(np.full(2, -1), pa.array([], pa.string())).to_pylist() == [None, None]
