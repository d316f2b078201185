"""What it costs not to have the visit: a pure rule over the booking, the time left, and a versioned policy.

Fees are basis points of the price without tax, never more than it, and carry the policy's version, so that an old fee
can be explained for ever. A request that nobody has accepted costs nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.booking import Booking, State
from domain.money import half_up_bp


class CancellationPolicy(Protocol):
    """The numbers that the rule needs; `services.policy.Policy` has them."""

    @property
    def version(self) -> str: ...
    @property
    def free_cancel_before_s(self) -> int: ...
    @property
    def cancel_fee_bp(self) -> int: ...
    @property
    def late_cancel_fee_bp(self) -> int: ...
    @property
    def no_show_fee_bp(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Fee:
    """Minor units of the booking's currency, and the version of the policy that said so."""

    amount: int
    policy: str


def fee(booking: Booking, now: datetime, policy: CancellationPolicy) -> Fee:
    """Return what cancelling costs now.

    Nothing while requested, or accepted with `free_cancel_before_s` or more to go; then `cancel_fee_bp`; from
    departure on `late_cancel_fee_bp`. A finished booking costs nothing more.
    """
    match booking.state:
        case State.ACCEPTED:
            lead_s = (booking.starts_at - now).total_seconds()
            rate_bp = 0 if lead_s >= policy.free_cancel_before_s else policy.cancel_fee_bp
        case State.EN_ROUTE | State.ARRIVED | State.IN_SERVICE:
            rate_bp = policy.late_cancel_fee_bp
        case _:
            rate_bp = 0
    return _of_price(booking, rate_bp, policy)


def no_show_fee(booking: Booking, policy: CancellationPolicy) -> Fee:
    """Return what it costs that nobody opened the door."""
    return _of_price(booking, policy.no_show_fee_bp, policy)


def _of_price(booking: Booking, rate_bp: int, policy: CancellationPolicy) -> Fee:
    net = booking.price.base + booking.price.travel
    return Fee(min(half_up_bp(net, rate_bp), net), policy.version)
