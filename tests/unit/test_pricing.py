"""Quotes: whole cents, tax half-up on each line, and a way that costs no more exactly than the card tells."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pricing import Tariff, half_up, quote, travel


@given(st.integers(0, 10**9), st.integers(0, 5000))
def test_tax_is_half_up(amount: int, rate_bp: int) -> None:
    """The integer arithmetic equals decimal arithmetic rounded half up."""
    exact = (Decimal(amount) * rate_bp / 10_000).quantize(Decimal(1), ROUND_HALF_UP)
    assert half_up(amount, rate_bp) == exact


@given(st.integers(0, 10**7), st.integers(0, 100_000), st.integers(0, 5000))
def test_a_quote_adds_up(base: int, distance_m: int, tax_bp: int) -> None:
    """The total is the sum of its parts, none is negative, and tax is that of each line."""
    price = quote(base, distance_m, currency="USD", tax_bp=tax_bp)
    assert price.total == price.base + price.travel + price.tax
    assert min(price.base, price.travel, price.tax) >= 0
    assert price.tax == half_up(price.base, tax_bp) + half_up(price.travel, tax_bp)


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_longer_way_never_costs_less(one: int, other: int) -> None:
    """The charge for the way grows with the way, up to its ceiling."""
    near, far = sorted((one, other))
    assert travel(near, Tariff()) <= travel(far, Tariff()) <= Tariff().most_amount


def test_started_kilometres_count_whole() -> None:
    """The free way is free to the metre, then each started kilometre costs the same."""
    tariff = Tariff(free_m=3000, per_km_amount=75, most_amount=1000)
    assert [travel(m, tariff) for m in (0, 3000, 3001, 4000, 4001)] == [0, 0, 75, 75, 150]


def test_nothing_below_zero_is_taxed() -> None:
    """A negative amount or rate is a mistake of the caller."""
    with pytest.raises(ValueError, match="below zero"):
        half_up(-1, 600)
