"""The contact policy means what it says, and its mistakes are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tessera.decide.policy import FILE, NURTURE, load
from tessera.errors import BadInput
from tessera.settings import CHECKOUT

TIRED = "- {level: tired, unread: 6, silent_days: 30, caps: [{max: 1, days: 7}]}"
ASLEEP = "- {level: asleep, unread: 18, silent_days: 180, caps: [{max: 0, days: 1}]}"
ODD = "- {level: odd, unread: 7, silent_days: 3, caps: [{max: 0, days: 1}]}"


def policy(tmp_path: Path, text: str) -> Path:
    (tmp_path / FILE).parent.mkdir(exist_ok=True)
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_shipped_policy_has_every_kind_of_rule() -> None:
    shipped = load(CHECKOUT)
    assert [str(cap) for cap in shipped.limits] == [
        "1 marketing in 20 hours",
        "1 offers marketing in 6 days",
        "3 marketing in 7 days",
        "5 marketing in 7 days per household",
        "8 marketing in 30 days",
    ]
    assert [(level.level, limit.max) for level, limit in shipped.tiring] == [
        ("tired", 1), ("weary", 1), ("asleep", 0),
    ]  # fmt: skip
    assert shipped.cadences == {"nurture": NURTURE}
    assert shipped.reserve_days


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", ["2 marketing in 7 days"]),
        ("caps: null", []),
        ("caps: []", []),
        ("caps: [{purpose: marketing, max: null, days: 7}]", []),
        ("caps: [{purpose: marketing, max: 0, days: 7}]", ["0 marketing in 7 days"]),
        (
            "caps: [{purpose: marketing, max: 8, days: 30}, {purpose: marketing, max: 1, days: 1}]",
            ["1 marketing in 1 days", "8 marketing in 30 days"],
        ),
    ],
)
def test_zero_null_and_absent_differ(tmp_path: Path, text: str, limits: list[str]) -> None:
    assert [str(cap) for cap in load(policy(tmp_path, text)).limits] == limits


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("capz: null", r"contact_policy.yml:1: 'capz' .* Did you mean 'caps'\?"),
        ("caps: [{purpose: marketing, days: 7}]", "contact_policy.yml:1: 'max' is missing"),
        ("caps: [{purpose: service, max: 1, days: 7}]", "'purpose' cannot be 'service'"),
        ("caps: [{purpose: marketing, max: -1, days: 7}]", "'max' cannot be -1"),
        (
            f"fatigue:\n  {ASLEEP}\n  {TIRED}",
            "contact_policy.yml:3: level 'tired' asks for less than",
        ),
        (f"fatigue:\n  {TIRED}\n  {ODD}", "contact_policy.yml:3: level 'odd' asks for less than"),
        (
            f"fatigue:\n  {TIRED}\n  {TIRED.replace('tired', 'weary')}",
            "contact_policy.yml:3: level 'weary' asks for the same as 'tired' before it",
        ),
        ("caps: [{purpose: marketing, max: 1.5, days: 7}]", r"'max' cannot be 1\.5"),
        ("global_control_group_share: 2", "cannot be 2"),
        ("send_window: {start: 20:00, end: 08:00}", "it must end after it starts"),
        ("send_window: {start: 9, end: 20:00}", "'start' cannot be 9"),
        ("quiet_hours: {start: 25:00, end: 08:00}", "write a time of day as 09:00"),
    ],
)
def test_a_mistake_names_what_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load(policy(tmp_path, text))


def test_a_month_is_looked_back_over_for_who_chose_to_hear_monthly(tmp_path: Path) -> None:
    """Whatever the policy limits."""
    found = load(policy(tmp_path, "caps: null\ncadences: {}\n"))
    now = datetime(2026, 3, 31, tzinfo=UTC)
    assert found.since(now) <= now - timedelta(days=30)
