"""The programme file says what a purchase earns, and its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.errors import BadInput
from tessera.reward.programme import FILE, EarnRule, load
from tessera.settings import CHECKOUT

GOOD = """\
programme: club
currency: any
earn_rules:
  - {rule: purchase, points: 1, per: 100}
returns: debt
"""


def project(tmp_path: Path, text: str) -> Path:
    (tmp_path / FILE).parent.mkdir(exist_ok=True)
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_shipped_programme_loads() -> None:
    assert load(CHECKOUT).programme == "club"


def test_a_rule_changes_its_version_only_when_it_changes() -> None:
    rule = EarnRule(rule="purchase", points=1, per=100)
    assert rule.version == EarnRule(rule="purchase", points=1, per=100).version
    assert rule.version != EarnRule(rule="purchase", points=2, per=100).version


@pytest.mark.parametrize(
    ("wrong", "right", "sentence"),
    [
        ("currency: any", "curency: any", r"programme.yml:2: 'curency' .* 'currency'\?"),
        ("points: 1", "point: 1", r"programme.yml:4: 'point' .* 'points'\?"),
        ("points: 1", "points: 1.5", r"programme.yml:4: 'points' cannot be 1.5"),
        ("points: 1", "points: 0", r"programme.yml:4: 'points' cannot be 0"),
        ("returns: debt", "returns: dept", r"programme.yml:5: 'returns' .* 'debt'\?"),
        ("returns: debt\n", "", "'returns' is missing"),
        ("returns: debt", "returns: [", "programme.yml:5: this is not YAML"),
        ("currency: any", "currency: euro", "programme.yml:2: 'currency' cannot be 'euro'"),
        ("points: 1", "points: 0", r"more than 0\.$"),  # and nothing of how many rules there are
        (
            "points: 1",
            f"only: {{least_amount: {10**20}}}",
            "programme.yml:4: 'least_amount' cannot be 1000",
        ),
        (
            "returns: debt",
            "returns: debt\ngifts: [{gift: hb, points: 1, to_mark: birthday, since: 2026-02-01, until: 2026-01-01}]",
            "programme.yml:6: 'gifts 1': gift 'hb' ends",
        ),
        (
            "returns: debt",
            "returns: debt\ntiers:\n  levels:\n    - {tier: basic, least: 9}",
            "programme.yml:8: 'basic' is who has no tier; give this one another name, or 'least: 0'.",
        ),
        (
            "returns: debt",
            "returns: debt\nexpiry:\n  kind: calendar\n  months: 24",
            r"programme.yml:8: 'months' says nothing where points end by 'calendar'. Valid: on, years",
        ),
        (
            "returns: debt",
            "returns: debt\nexpiry:\n  kind: rolling\n  months: 1\n  on: 06-30",
            r"programme.yml:9: 'on' says nothing .*: days, months, to_end_of",
        ),
        (
            "returns: debt",
            "returns: debt\nexpiry: {kind: calendar, on: 06-31}",
            r"programme.yml:6: 'expiry': day is out of range for month",
        ),
        (
            "returns: debt",
            "  - {rule: purchase, points: 2, per: 1}\nreturns: debt",
            "two rules have",
        ),
        (
            "returns: debt",
            "returns: debt\nrewards:\n- reward: x\n  voucher: {amount: 500, at_most: 300, currency: EUR}",
            "programme.yml:8: 'at_most' says nothing without 'percent'",
        ),
    ],
)
def test_a_mistake_names_file_line_key_and_the_nearest_word(
    tmp_path: Path, wrong: str, right: str, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        load(project(tmp_path, GOOD.replace(wrong, right)))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"deployments/programme.yml:1: there is no such file"):
        load(tmp_path)
