"""What a visit costs: a base for the service, a charge for the way, and tax on each line, frozen when it is quoted.

Amounts are integer minor units. Tax is exclusive, half-up for each line. The charge for the way follows the *rounded*
distance that the card shows, so that a price tells nobody more than the card does.
"""

from dataclasses import dataclass

from domain.booking import Price

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Tariff:
    """The charge for the way: nothing up to `free_m`, then `per_km_amount` for each started kilometre, to a ceiling."""

    free_m: int = 3_000
    per_km_amount: int = 75
    most_amount: int = 2_500


def half_up(amount: int, rate_bp: int) -> int:
    """Return `amount × rate_bp / 10000`, halves rounded up; neither may be negative."""
    if amount < 0 or rate_bp < 0:
        raise ValueError("tax is charged on nothing below zero")
    return (amount * rate_bp + BASIS_POINTS // 2) // BASIS_POINTS


def travel(distance_m: int, tariff: Tariff) -> int:
    """Return the charge for the way, in minor units, for a distance in whole metres."""
    beyond_m = max(0, distance_m - tariff.free_m)
    return min(tariff.most_amount, -(-beyond_m // 1000) * tariff.per_km_amount)


def quote(
    base_amount: int, distance_m: int, *, currency: str, tax_bp: int, tariff: Tariff | None = None
) -> Price:
    """Quote a visit; `total == base + travel + tax` always holds."""
    way = travel(distance_m, tariff or Tariff())
    tax = half_up(base_amount, tax_bp) + half_up(way, tax_bp)
    return Price(
        base=base_amount, travel=way, tax=tax, total=base_amount + way + tax, currency=currency, tax_bp=tax_bp
    )
