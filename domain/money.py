"""Money is a whole number of minor units and a currency; nothing here ever touches a float.

Rates are basis points, rounded half up (away from zero). A split gives every minor unit to somebody: the parts of an
amount always add up to it, whatever the currency's exponent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WHOLE = 10_000  # basis points in one

# ISO 4217 minor units; a currency that is not named here has two decimals.
NO_DECIMALS = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
)  # fmt: skip
THREE_DECIMALS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in minor units. Raises ValueError for a currency that is not three capital letters."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isupper():
            raise ValueError(f"{self.currency!r} is not a currency code")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def share_bp(self, rate_bp: int) -> "Money":
        """Return that many basis points of this amount, half up to a minor unit."""
        return Money(half_up_bp(self.amount, rate_bp), self.currency)

    def text(self) -> str:
        """Return the amount in major units, with as many decimals as the currency has: `45.00 USD`, `450 JPY`."""
        places = exponent(self.currency)
        sign = "-" if self.amount < 0 else ""
        major, minor = divmod(abs(self.amount), 10**places)
        number = f"{major}.{minor:0{places}d}" if places else str(major)
        return f"{sign}{number} {self.currency}"

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{other.currency} cannot be reckoned with {self.currency}")
        return other.amount


def exponent(currency: str) -> int:
    """Return how many decimals the currency's minor unit has: 0, 2 or 3."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def half_up_bp(amount: int, rate_bp: int) -> int:
    """Return `amount × rate_bp / 10 000`, half away from zero: what a tax line or a commission is."""
    product = amount * rate_bp
    rounded = (2 * abs(product) + WHOLE) // (2 * WHOLE)
    return rounded if product >= 0 else -rounded


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` by non-negative weights, largest remainder first, earlier weights first among equals.

    The parts add up to `amount`; where `amount` is at most the sum of the weights, no part exceeds its weight.
    Raises ValueError for a negative weight, or where there is something to divide and nobody to take it.
    """
    whole = sum(weights)
    if any(weight < 0 for weight in weights) or (whole == 0 and amount != 0):
        raise ValueError("a split needs weights that are not negative and not all nothing")
    if amount < 0:
        return [-part for part in split(-amount, weights)]
    if whole == 0:
        return [0] * len(weights)
    parts = [amount * weight // whole for weight in weights]
    remainders = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in remainders[: amount - sum(parts)]:
        parts[i] += 1
    return parts
