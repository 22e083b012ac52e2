"""Reads provider events: SendGrid's webhook arrays, or the same objects as JSON lines."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tessera import clock
from tessera.errors import BadInput

ADDRESS = re.compile(r"[^\s\"]+@[^\s\"]+")  # servers like to repeat it in their reasons
BLOCKED = "blocked"  # a bounce that may be none tomorrow
# A mailbox that is full, busy or shy of senders it does not know; 4.x.x are all of that kind.
TEMPORARY = ("5.2.1", "5.2.2", "5.7.1")
TEMPORARY_CLASSES = ("reputation", "content", "technical failure", "frequency or volume too high",
                     "mailbox unavailable")  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One thing a provider says happened to a message."""

    send_key: str  # empty when the message was none of ours
    event: str
    occurred_at: str  # ISO 8601, UTC
    email: str | None
    reason: str | None
    url: str | None
    status: str | None = None  # enhanced status code, such as 5.1.1
    dated: str | None = None  # the provider's own time, where it is not believed

    @cached_property
    def key(self) -> str:
        """The same event always has the same key; providers repeat events under new ids."""
        parts = [self.send_key, self.event, self.dated or self.occurred_at, self.url or ""]
        if not self.send_key:
            parts.append((self.email or "").strip().lower())
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]

    @property
    def told(self) -> str | None:
        """The reason as it is kept: with the provider's own time, where it is not believed."""
        if self.dated is None:
            return self.reason
        return f"{self.reason or ''} (dated {self.dated})".strip()


def moved(event: Event, happened: str) -> Event:
    """The same event, with the same key, at another time."""
    if event.occurred_at == happened:
        return event
    return replace(event, occurred_at=happened, dated=event.occurred_at)


def read(path: Path) -> list[object]:
    """The entries of one file; BadInput when the file is not JSON."""
    return list(_entries(path))


def parse(entry: object) -> Event | None:
    """An event, or None when it does not say what happened when."""
    if not isinstance(entry, Mapping):
        return None
    name, moment = entry.get("event"), _moment(entry.get("timestamp"))
    if not isinstance(name, str) or not name or moment is None:
        return None
    reason = _text(entry, "reason")
    return Event(
        send_key=_text(entry, "send_key") or "",
        event=BLOCKED if name == "bounce" and _is_temporary(entry) else _clean(name),
        occurred_at=moment,
        email=_text(entry, "email"),
        reason=reason and ADDRESS.sub("…", reason)[:500],
        url=_text(entry, "url"),
        status=_text(entry, "status"),
    )


def _is_temporary(bounce: Mapping[str, Any]) -> bool:
    """The provider says so itself, or by the status code or class it gives."""
    status = str(bounce.get("status") or "")
    kind = str(bounce.get("bounce_classification") or "").lower()
    return (
        bounce.get("type") == BLOCKED
        or status.startswith("4.")
        or status in TEMPORARY
        or kind in TEMPORARY_CLASSES
    )


def unread(entry: object) -> str:
    """An entry that is no event, as text fit to be kept: without addresses, and not too long."""
    text = json.dumps(entry, sort_keys=True, ensure_ascii=True, default=str)
    return ADDRESS.sub("…", text)[:2000]


def _entries(path: Path) -> Iterator[object]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text, so no events were read from it.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    if text.lstrip().startswith("["):
        yield from _array(path, text)
        return
    # Not splitlines: JSON may have U+2028 and its like within a text.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _loads(line, f"{path}:{number}")


def _array(path: Path, text: str) -> list[Any]:
    found = _loads(text, str(path))
    return found if isinstance(found, list) else [found]


def _loads(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{where} is not JSON ({error}); give an array of events or one event a line."
        ) from None


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return None if value is None else _clean(str(value))


def _clean(text: str) -> str:
    """What every database can hold: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _moment(value: object) -> str | None:
    """Seconds since 1970, as providers write it, in UTC; None when it is no time at all."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return clock.stamp(datetime.fromtimestamp(int(value), UTC))
    except (ValueError, OverflowError, OSError):
        return None
