"""How the provider misbehaves: a list of answers to come, then chances, from a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence

from tessera.errors import BadInput

TAKEN = "202"
CERTAIN = 1 + 1e-9
# A number is answered as it is; nothing is accepted then.
KINDS = {
    "429": "asks to wait, with the reset header",
    "500": "fails, and accepts nothing",
    "400": "refuses the request without saying why",
    "hang": "does not answer, and accepts nothing",
    "hang-after": "accepts, and does not answer",
    "cut-before": "cuts the connection, and accepts nothing",
    "cut-after": "accepts, and cuts the connection",
    "partly": "accepts the first half, and answers 500",
    "500-after": "accepts, and answers 500",
}


class Faults:
    """What to answer next."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - a rehearsal, not a secret
        self._answers: list[str] = []
        self._chances: dict[str, float] = {}

    def will(self, *answers: str) -> None:
        """The answers to the next requests, in order; then what chance says."""
        with self._lock:
            self._answers = [_known(answer) for answer in answers]

    def chances(self, of: Mapping[str, float]) -> None:
        """How likely each fault is, on any request."""
        with self._lock:
            self._chances = {_known(kind): float(chance) for kind, chance in of.items()}

    def next(self) -> str:
        with self._lock:
            if self._answers:
                return self._answers.pop(0)
            drawn = self._random.random()
            for kind, chance in self._chances.items():
                drawn -= chance
                if drawn < 0:
                    return kind
            return TAKEN


def parse(texts: Sequence[str]) -> dict[str, float]:
    """`500=0.05` and the like."""
    found = {}
    for text in texts:
        kind, _, chance = text.partition("=")
        try:
            found[_known(kind)] = float(chance or 1)
        except ValueError:
            raise BadInput(f"'{text}' is not a fault; write it as 500=0.05.") from None
        if not (found[kind] >= 0 and sum(found.values()) <= CERTAIN):
            raise BadInput(f"'{text}' is too likely; faults share one chance of 0 to 1.")
    return found


def _known(kind: str) -> str:
    if kind not in KINDS and not (kind.isdigit() and 200 <= int(kind) <= 599):  # noqa: PLR2004
        raise BadInput(f"'{kind}' is not a fault; there are {', '.join(KINDS)}.")
    return kind
