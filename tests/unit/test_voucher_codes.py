"""Codes and terms: what a slip of the pen, a calendar and a basket make of them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tessera.reward.worth import Worth
from tessera.vouchers import codes
from tessera.vouchers.terms import Line, Terms

CODE = "WAN77DN0Q9PRW"
LETTER = st.sampled_from(codes.ALPHABET)


def test_a_million_codes_are_all_different_and_all_good() -> None:
    made = codes.make(100_000)
    assert len(set(made)) == len(made)
    assert all(map(codes.is_good, made[:1000]))


@given(st.integers(0, codes.LENGTH), LETTER)
def test_every_wrong_character_is_noticed(place: int, letter: str) -> None:
    typed = CODE[:place] + letter + CODE[place + 1 :]
    assert codes.is_good(typed) == (typed == CODE)


@given(st.integers(0, codes.LENGTH), st.integers(0, codes.LENGTH))
def test_every_two_characters_that_changed_places_are_noticed(one: int, other: int) -> None:
    letters = list(CODE)
    letters[one], letters[other] = letters[other], letters[one]
    assert codes.is_good("".join(letters)) == ("".join(letters) == CODE)


@pytest.mark.parametrize("typed", [CODE.lower(), f" {codes.spoken(CODE)} ", codes.spoken(CODE)])
def test_a_code_is_known_however_it_is_typed(typed: str) -> None:
    assert codes.tidy(typed) == CODE


def test_letters_that_are_misread_are_read_as_what_they_were() -> None:
    assert codes.tidy("oO-iL") == "0011"


@pytest.mark.parametrize(
    ("terms", "amounts", "off"),
    [
        ({"percent": 10}, (999,), 99),  # down: never more than was promised
        ({"percent": 100}, (999,), 999),
        ({"percent": 50, "at_most": 100, "currency": "EUR"}, (999,), 100),
        ({"amount": 500, "currency": "EUR"}, (300,), 300),  # to exactly nothing, never below
        ({"amount": 500, "currency": "EUR", "min_basket": 1000}, (999,), None),
        ({"amount": 500, "currency": "EUR", "min_basket": 1000}, (1000,), 500),
        ({"amount": 500, "currency": "USD"}, (1000,), None),
        ({"percent": 10, "products": ("p9",)}, (1000,), None),
        ({"percent": 10, "products": ("p1",)}, (1000, 200), 20),
        ({"percent": 10, "categories": ("tea",)}, (1000,), 100),
        ({"percent": 10, "products": ("p1",), "categories": ("coffee",)}, (1000, 200), 20),
        (  # the whole basket counts, whatever it takes something off
            {"percent": 10, "products": ("p1",), "min_basket": 1100, "currency": "EUR"},
            (900, 200),
            20,
        ),
        ({}, (), 0),  # a thing that is handed over
    ],
)
def test_what_a_voucher_takes_off(
    terms: dict[str, object], amounts: tuple[int, ...], off: int | None
) -> None:
    basket = [Line(product=f"p{n}", category="tea", amount=a) for n, a in enumerate(amounts)]
    assert Terms(**terms).discount(basket, "EUR") == off  # type: ignore[arg-type]


def test_the_day_it_is_given_is_the_first_of_its_days() -> None:
    assert Terms(valid_days=1).last_day(date(2026, 3, 31)) == date(2026, 3, 31)
    assert Terms(valid_days=30).last_day(date(2026, 3, 31)) == date(2026, 4, 29)
    one_day = Terms(valid_from=date(2026, 3, 31), valid_until=date(2026, 3, 31))
    assert one_day.last_day(date(2026, 3, 1)) == date(2026, 3, 31)
    ends = Terms(valid_days=30, valid_until=date(2026, 4, 2))
    assert ends.last_day(date(2026, 3, 31)) == date(2026, 4, 2)


def test_who_is_given_a_code_before_its_first_day_has_all_its_days() -> None:
    december = Terms(valid_from=date(2026, 12, 1), valid_days=14)
    assert december.last_day(date(2026, 11, 1)) == date(2026, 12, 14)
    assert december.last_day(date(2026, 12, 3)) == date(2026, 12, 16)
    assert Terms(valid_from=date.max, valid_days=14).last_day(date(2026, 3, 31)) == date.max


@pytest.mark.parametrize(
    "terms",
    [
        {"percent": 10, "amount": 5, "currency": "EUR"},
        {"amount": 5},
        {"percent": 10, "min_basket": 5},
        {"percent": 10, "at_most": 5},
        {"valid_from": date(2026, 4, 2), "valid_until": date(2026, 4, 1)},
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"takes off|needs its|lies before"):
        Terms(**terms)  # type: ignore[arg-type]


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 10**9))
def test_points_pay_any_total_to_the_last_unit_and_not_one_too_many(
    points: int, pays: int, amount: int
) -> None:
    """Complaints 22, 23 and 24: rounded twice, divided by the factor, unable to pay the total."""
    worth = Worth(points=points, pays=pays)
    needed = worth.needed(amount)
    assert worth.money(needed) >= amount
    assert needed == 0 or worth.money(needed - 1) < amount


def test_points_and_money_in_both_directions() -> None:
    """Complaint 23: 1,540 was offered for 3.85."""
    worth = Worth(points=100, pays=25)
    assert worth.money(1540) == 385
    assert worth.needed(385) == 1540
