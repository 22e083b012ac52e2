"""Puts each person's values where the request's tags are, as the provider does before it sends."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

Parts = tuple[str, ...]  # subject, HTML, text


def contents(body: Mapping[str, Any]) -> Iterator[Parts]:
    """Subject, HTML and text of each personalization."""
    found = {part["type"]: part["value"] for part in body["content"]}
    html, text = found.get("text/html", ""), found.get("text/plain", "")
    filler = Filler(())
    for person in body["personalizations"]:
        values = person.get("substitutions", {})
        subject = person.get("subject", body.get("subject", ""))
        if not values:
            yield subject, html, text
            continue
        if tuple(values) != filler.tags:
            filler = Filler(tuple(values))
        yield filler.fill((subject, html, text), values)


class Filler:
    """Replaces tags: one after the other in no promised order, which may reach into the values.

    When no tag can be found within a value or within another tag, the order makes no difference,
    and all are replaced at once.
    """

    def __init__(self, tags: Parts) -> None:
        self.tags = tags
        self._pattern = re.compile("|".join(map(re.escape, tags)) or "(?!)")
        self._tangled = any(one != other and one in other for one in tags for other in tags)
        self._split: dict[str, list[str]] = {}

    def fill(self, parts: Parts, values: Mapping[str, str]) -> Parts:
        if self._tangled or self._pattern.search("\0".join(values.values())):
            return tuple(one_by_one(part, values) for part in parts)
        return tuple(self._at_once(part, values) for part in parts)

    def _at_once(self, part: str, values: Mapping[str, str]) -> str:
        if part not in self._split:
            ends = [0, *(end for found in self._pattern.finditer(part) for end in found.span())]
            ends.append(len(part))
            self._split = dict(list(self._split.items())[-8:])  # subjects may differ
            self._split[part] = [part[a:b] for a, b in pairwise(ends)]
        pieces = self._split[part].copy()
        pieces[1::2] = [values[tag] for tag in pieces[1::2]]
        return "".join(pieces)


def one_by_one(part: str, values: Mapping[str, str], order: Sequence[str] | None = None) -> str:
    """The tags replaced one after the other, in `order` or in any."""
    tags = list(order or values)
    if order is None:
        random.shuffle(tags)
    for tag in tags:
        part = part.replace(tag, values[tag])
    return part
