"""Tokens: signed for one use, expiring, and good under an earlier secret while it is remembered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.say.links import secret_of, secrets_of
from tessera.testing import workspace
from tessera.tokens import (
    CONFIRM,
    LIFETIMES,
    PREFERENCES,
    SCORE,
    UNSUBSCRIBE,
    expired,
    sign,
    sign_until,
    verify,
    verify_until,
)

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
SECRET, OTHER = b"s" * 32, b"t" * 32
SUBJECT = st.text(alphabet="0123456789abcdef.~-_", min_size=1)


@given(SUBJECT, st.sampled_from([UNSUBSCRIBE, PREFERENCES, SCORE]))
def test_a_token_is_good_for_its_own_use_and_secret_only(subject: str, kind: str) -> None:
    token = sign(SECRET, kind, subject)
    assert verify(SECRET, kind, token) == subject
    assert verify([OTHER, SECRET], kind, token) == subject
    assert verify(OTHER, kind, token) is None
    assert verify([], kind, token) is None
    assert verify(SECRET, CONFIRM, token) is None


@given(SUBJECT, st.integers(min_value=0), st.characters())
def test_a_token_that_was_changed_anywhere_is_none(subject: str, at: int, by: str) -> None:
    token = sign(SECRET, SCORE, subject)
    at %= len(token)
    forged = token[:at] + by + token[at + 1 :]
    assert verify(SECRET, SCORE, forged) == (subject if forged == token else None)


def test_a_signature_is_too_long_to_be_guessed() -> None:
    assert len(sign(SECRET, SCORE, "abc").rpartition(".")[2]) * 6 >= 128


def test_a_token_says_itself_when_it_expires() -> None:
    token = sign_until(SECRET, CONFIRM, "abc", NOW)
    assert verify_until(SECRET, CONFIRM, token, NOW - timedelta(seconds=1)) == "abc"
    assert verify_until(SECRET, CONFIRM, token, NOW) is None
    assert verify_until(SECRET, SCORE, token, NOW - timedelta(days=1)) is None
    later = token.replace("~17", "~27")
    assert later != token
    assert verify_until(SECRET, CONFIRM, later, NOW) is None
    assert verify_until(SECRET, CONFIRM, sign(SECRET, CONFIRM, "abc"), NOW) is None


@pytest.mark.parametrize("kind", LIFETIMES)
def test_a_link_grows_old_with_its_message(kind: str) -> None:
    assert not expired(kind, NOW - LIFETIMES[kind], NOW)
    assert expired(kind, NOW - LIFETIMES[kind] - timedelta(seconds=1), NOW)


def test_links_outlive_a_change_of_the_secret_as_long_as_it_is_remembered(tmp_path: Path) -> None:
    before = workspace(tmp_path, link_secret="first")
    token = sign(secret_of(before), UNSUBSCRIBE, "abc")
    after = workspace(tmp_path, link_secret="second", link_secrets_old="zeroth, first,")
    assert secrets_of(after) == [b"second", b"zeroth", b"first"]
    assert verify(secrets_of(after), UNSUBSCRIBE, token) == "abc"
    assert verify(secrets_of(workspace(tmp_path, link_secret="second")), UNSUBSCRIBE, token) is None
