"""Which alerts the staff was written to about: each once for as long as it lasts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date

from tessera.home import Home
from tessera.report.alerts import Alert
from tessera.warehouse.inputs import replace_text


def news(home: Home, alerts: Sequence[Alert]) -> list[Alert]:
    """Those of `alerts` that nobody was told of."""
    known = _known(home)
    return [alert for alert in alerts if alert.about not in known]


def key(day: date, new: Sequence[Alert]) -> str:
    """Of the mail that tells `new`: written twice, it is the same mail."""
    about = "\x1f".join(alert.about for alert in new)
    return f"alerts-{day}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"


def remember(home: Home, alerts: Sequence[Alert]) -> None:
    """The staff knows of these; one that is over and comes again is news."""
    about = sorted(alert.about for alert in alerts)
    if set(about) != _known(home):
        replace_text(home.report / "told.json", json.dumps(about))


def _known(home: Home) -> set[str]:
    try:
        return set(json.loads((home.report / "told.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return set()
