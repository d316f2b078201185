"""Whole minor units: nothing is lost in a split, and halves go up, in every kind of currency."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money, exponent, half_up_bp, split

AMOUNTS = st.integers(-(10**12), 10**12)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any)


@given(AMOUNTS, WEIGHTS)
def test_a_split_conserves_every_minor_unit(amount: int, weights: list[int]) -> None:
    """The parts add up, each within one unit of its exact share, and nobody without weight gets anything."""
    parts = split(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1
        assert weight or part == 0


@given(WEIGHTS, st.data())
def test_no_part_exceeds_its_weight(weights: list[int], data: st.DataObject) -> None:
    """Giving back at most what is there takes from nobody more than they have."""
    amount = data.draw(st.integers(0, sum(weights)))
    assert all(part <= weight for part, weight in zip(split(amount, weights), weights, strict=True))


@given(WEIGHTS, st.data())
def test_giving_back_in_steps_ends_at_nothing(weights: list[int], data: st.DataObject) -> None:
    """However a whole is given back piece by piece, the last piece empties everybody."""
    left = list(weights)
    while sum(left):
        step = data.draw(st.integers(max(1, sum(left) // 3), sum(left)))
        left = [have - part for have, part in zip(left, split(step, left), strict=True)]
        assert min(left) >= 0


@given(AMOUNTS, st.integers(0, 10_000))
def test_basis_points_round_half_away_from_nothing(amount: int, rate_bp: int) -> None:
    """The rounded share is the nearest whole unit, halves away from nothing."""
    exact = Fraction(amount * rate_bp, 10_000)
    rounded = half_up_bp(amount, rate_bp)
    assert abs(rounded - exact) <= Fraction(1, 2)
    if abs(rounded - exact) == Fraction(1, 2):
        assert abs(rounded) > abs(exact)


def test_a_split_without_takers_is_refused() -> None:
    """Money cannot vanish, and nobody takes less than nothing."""
    assert split(0, [0, 0]) == [0, 0]
    for amount, weights in ((1, [0, 0]), (1, []), (1, [2, -1])):
        with pytest.raises(ValueError, match="weights"):
            split(amount, weights)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(4500, "USD"), "45.00 USD"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(450, "JPY"), "450 JPY"),
        (Money(4500, "KWD"), "4.500 KWD"),
    ],
)
def test_money_reads_with_its_currency_decimals(money: Money, text: str) -> None:
    """Two decimals, none, or three."""
    assert money.text() == text


def test_currencies_do_not_mix() -> None:
    """Dollars and yen are not added, and a currency is three capitals."""
    with pytest.raises(ValueError, match="reckoned"):
        Money(1, "USD") + Money(1, "JPY")
    with pytest.raises(ValueError, match="currency code"):
        Money(1, "usd")
    assert Money(3, "USD") + Money(4, "USD") - Money(1, "USD") == -Money(-6, "USD")
    assert Money(1001, "USD").share_bp(2000) == Money(200, "USD")
    assert [exponent(c) for c in ("JPY", "EUR", "TND")] == [0, 2, 3]
