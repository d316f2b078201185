"""What it costs not to have the visit: a pure rule over the booking, the time left, and a version of the policy.

A visit is judged by the version that was in force when it was asked for, and its fee names that version: so an old fee
can be explained for ever, and nobody's terms change behind their back. A request that nobody has accepted costs
nothing; fees are basis points of the price without tax, and never more than it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.booking import Booking, State
from domain.facts import Fact
from domain.money import half_up_bp

CHARGED = (State.ACCEPTED, State.EN_ROUTE, State.ARRIVED, State.IN_SERVICE)
FREE_UNTIL = frozenset({State.REQUESTED, State.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Tier:
    """A fee in one state; with `lead_under_s`, only while less than that is left before the visit."""

    state: State
    fee_bp: int
    lead_under_s: int | None = None


@dataclass(frozen=True, slots=True)
class CancellationPolicy:
    """One version. An accepted visit is free until `free_until_s` before it; then, and in later states, by tier."""

    version: int
    free_until_s: int
    tiers: tuple[Tier, ...]
    no_show_fee_bp: int


@dataclass(frozen=True, slots=True)
class PolicyWritten(Fact):
    """The next version, for one area, for a jurisdiction and all below it, or (neither given) for everywhere."""

    policy: CancellationPolicy
    valid_from: datetime
    area_id: UUID | None = None
    jurisdiction: str | None = None


@dataclass(frozen=True, slots=True)
class Fee:
    """Minor units of the booking's currency, and the version of the policy that said so."""

    amount: int
    policy: str


# What held before policies were data; migration 0061 writes it as version 1.
FIRST = CancellationPolicy(
    version=1,
    free_until_s=2 * 3600,
    tiers=(
        Tier(State.ACCEPTED, 2500),
        Tier(State.EN_ROUTE, 5000),
        Tier(State.ARRIVED, 5000),
        Tier(State.IN_SERVICE, 5000),
    ),
    no_show_fee_bp=5000,
)


def fee(booking: Booking, now: datetime, policy: CancellationPolicy) -> Fee:
    """Return what cancelling costs now: of the tiers that hold, that of the shortest lead time; without one, 0."""
    lead_s = (booking.starts_at - now).total_seconds()
    free = booking.state == State.ACCEPTED and lead_s >= policy.free_until_s
    holding = [
        tier
        for tier in policy.tiers
        if tier.state == booking.state and (tier.lead_under_s is None or lead_s < tier.lead_under_s)
    ]
    if free or not holding:
        return _of_price(booking, 0, policy)
    return _of_price(booking, min(holding, key=_narrowness).fee_bp, policy)


def free_until(booking: Booking, now: datetime, policy: CancellationPolicy) -> datetime | None:
    """Return until when an accepted visit may be cancelled for nothing; None when that has passed or cannot be."""
    until = booking.starts_at - timedelta(seconds=policy.free_until_s)
    return until if booking.state in FREE_UNTIL and now < until else None


def no_show_fee(booking: Booking, policy: CancellationPolicy) -> Fee:
    """Return what it costs that nobody opened the door."""
    return _of_price(booking, policy.no_show_fee_bp, policy)


def idle(free_until_s: int, tiers: Sequence[Tier]) -> list[tuple[int, str]]:
    """Return the tiers that could never count, by their place, and why: such a policy does not say what was meant."""
    found = []
    seen: set[tuple[State, int | None]] = set()
    for place, tier in enumerate(tiers):
        if (tier.state, tier.lead_under_s) in seen:
            found.append((place, "There is another tier for this state and lead time."))
        seen.add((tier.state, tier.lead_under_s))
        if (
            tier.state == State.ACCEPTED
            and tier.lead_under_s is not None
            and tier.lead_under_s > free_until_s
        ):
            found.append((place, "Cancelling is free with so much time left."))
    return found


def terms(policy: CancellationPolicy) -> dict[str, Any]:
    """Return the policy as JSON: what is stored, and what people read."""
    return {
        "free_until_s": policy.free_until_s,
        "tiers": [
            {"state": str(tier.state), "fee_bp": tier.fee_bp, "lead_under_s": tier.lead_under_s}
            for tier in policy.tiers
        ],
        "no_show_fee_bp": policy.no_show_fee_bp,
    }


def policy_of(version: int, document: Mapping[str, Any]) -> CancellationPolicy:
    """Read a policy from its JSON."""
    tiers = tuple(
        Tier(State(each["state"]), each["fee_bp"], each["lead_under_s"]) for each in document["tiers"]
    )
    return CancellationPolicy(version, document["free_until_s"], tiers, document["no_show_fee_bp"])


def _narrowness(tier: Tier) -> float:
    return float("inf") if tier.lead_under_s is None else tier.lead_under_s


def _of_price(booking: Booking, rate_bp: int, policy: CancellationPolicy) -> Fee:
    net = booking.price.base + booking.price.travel
    return Fee(min(half_up_bp(net, rate_bp), net), str(policy.version))
