"""What a booking's events mean in numbers: a pure fold, from the same events to the same figures, whenever it is done.

    measured(origin, events)  ==  the row of metrics.visit_rows and its rows of metrics.offer_rows

It knows ids, times, codes and amounts; people's words and places never come near it. An event that was counted is not
counted again (`seq`), so that the same story may be told twice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.booking import FINAL, State

BY_HAND = "override"  # a time that somebody set afterwards measures nobody's punctuality
UNMEASURED = frozenset({"booking.near", "booking.waited", "booking.noted", "booking.overran"})


@dataclass(frozen=True, slots=True)
class Origin:
    """What never changes about a booking. `positions`: where each technician's card stood in its match, from 1."""

    booking_id: UUID
    match_id: UUID
    service: str
    experience: tuple[str, ...]
    area_id: UUID
    jurisdiction: str
    starts_at: datetime
    currency: str
    quoted_amount: int
    positions: Mapping[UUID, int]


@dataclass(frozen=True, slots=True)
class Told:
    """One event, as it is kept: ids and times of its `data` are text."""

    seq: int
    type: str
    at: datetime
    actor_role: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """A technician was asked, by event `seq`. `answer`: accepted, declined, expired, withdrawn; None while waiting."""

    seq: int
    technician_id: UUID
    cause: str
    card_position: int | None
    offered_at: datetime
    answered_at: datetime | None = None
    answer: str | None = None
    released_at: datetime | None = None
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A booking in numbers. Amounts are minor units of the origin's currency."""

    origin: Origin
    seq: int = 0
    state: str = State.REQUESTED
    technician_id: UUID | None = None
    requested_at: datetime | None = None
    accepted_at: datetime | None = None
    departed_at: datetime | None = None
    arrived_at: datetime | None = None
    arrived_by: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_from: str | None = None
    reason_code: str | None = None
    releases: int = 0
    extended_s: int = 0
    stars: int | None = None
    payment_status: str = "pending"
    fee_amount: int = 0
    captured_amount: int = 0
    refunded_amount: int = 0
    offers: tuple[Offer, ...] = ()

    @property
    def card_position(self) -> int | None:
        """Where the card stood that the customer chose."""
        return self.offers[0].card_position if self.offers else None


def measured(origin: Origin, events: Iterable[Told]) -> Visit:
    """Fold a booking's events, in order of `seq`."""
    visit = Visit(origin)
    for event in events:
        visit = measure(visit, event)
    return visit


def measure(visit: Visit, event: Told) -> Visit:
    """Count one more event. One that was counted, or is of a kind that nobody measures, changes no figure."""
    if event.seq <= visit.seq:
        return visit
    count = COUNTED.get(event.type)
    return replace(count(visit, event) if count else visit, seq=event.seq)


def _requested(visit: Visit, event: Told) -> Visit:
    asked = _asked(visit, event, "customer")
    return replace(asked, requested_at=event.at)


def _accepted(visit: Visit, event: Told) -> Visit:
    answered = _answered(visit, event, "accepted")
    return replace(answered, state=State.ACCEPTED, accepted_at=visit.accepted_at or event.at)


def _declined(visit: Visit, event: Told) -> Visit:
    return _turned_down(_answered(visit, event, "declined"), event, State.DECLINED)


def _expired(visit: Visit, event: Told) -> Visit:
    return _turned_down(_answered(visit, event, "expired"), event, State.EXPIRED)


def _turned_down(visit: Visit, event: Told, state: State) -> Visit:
    return _ended(visit, event, state) if event.data["final"] else replace(visit, technician_id=None)


def _released(visit: Visit, event: Told) -> Visit:
    given_back = [replace(offer, released_at=event.at, reason_code=event.data.get("reason_code"))
                  for offer in visit.offers[-1:]]  # fmt: skip
    return replace(visit, state=State.REQUESTED, technician_id=None, departed_at=None, releases=visit.releases + 1,
                   offers=(*visit.offers[:-1], *given_back))  # fmt: skip


def _reassigned(visit: Visit, event: Told) -> Visit:
    off = replace(_answered(visit, event, "withdrawn"), state=State.REQUESTED, departed_at=None)
    return _asked(off, event, event.data["cause"])


def _asked(visit: Visit, event: Told, cause: str) -> Visit:
    technician_id = UUID(event.data["technician_id"])
    position = None if cause == "dispatcher" else visit.origin.positions.get(technician_id)
    offer = Offer(event.seq, technician_id, cause, position, event.at)
    return replace(visit, technician_id=technician_id, offers=(*visit.offers, offer))


def _answered(visit: Visit, event: Told, answer: str) -> Visit:
    """Close the newest offer, if it waits for an answer."""
    if not visit.offers or visit.offers[-1].answer is not None:
        return visit
    newest = replace(visit.offers[-1], answered_at=event.at, answer=answer,
                     reason_code=event.data.get("reason_code"))  # fmt: skip
    return replace(visit, offers=(*visit.offers[:-1], newest))


def _departed(visit: Visit, event: Told) -> Visit:
    return replace(visit, state=State.EN_ROUTE, departed_at=event.at)


def _arrived(visit: Visit, event: Told) -> Visit:
    return replace(visit, state=State.ARRIVED, arrived_at=event.at, arrived_by=event.data["by"])


def _started(visit: Visit, event: Told) -> Visit:
    return replace(visit, state=State.IN_SERVICE, started_at=event.at)


def _extended(visit: Visit, event: Told) -> Visit:
    return replace(visit, extended_s=visit.extended_s + event.data["minutes"] * 60)


def _completed(visit: Visit, event: Told) -> Visit:
    return _ended(visit, event, State.COMPLETED)


def _cancelled(visit: Visit, event: Told) -> Visit:
    return replace(_ended(visit, event, State.CANCELLED), fee_amount=event.data["fee_amount"])


def _no_show(visit: Visit, event: Told) -> Visit:
    return replace(_ended(visit, event, State.NO_SHOW), fee_amount=event.data["fee_amount"])


def _overridden(visit: Visit, event: Told) -> Visit:
    state = State(event.data["to_state"])
    if state in FINAL:
        return _ended(visit, event, state)
    off = _answered(visit, event, "withdrawn")
    if state == State.ARRIVED:
        return replace(off, state=state, arrived_at=event.at, arrived_by=BY_HAND)
    return replace(off, state=state, started_at=visit.started_at or event.at)


def _ended(visit: Visit, event: Told, state: State) -> Visit:
    over = _answered(visit, event, "withdrawn")
    return replace(over, state=state, ended_at=event.at, ended_by=event.actor_role, ended_from=visit.state,
                   reason_code=event.data.get("reason_code"))  # fmt: skip


def _rated(visit: Visit, event: Told) -> Visit:
    return replace(visit, stars=event.data["stars"])


def _authorized(visit: Visit, event: Told) -> Visit:
    return replace(visit, payment_status="verified" if event.data["verified_only"] else "authorized")


def _captured(visit: Visit, event: Told) -> Visit:
    # A tip that comes in after a full refund pays the technician; the visit itself stays refunded.
    status = "refunded" if visit.payment_status == "refunded" else "captured"
    taken = visit.captured_amount + event.data["amount"]
    return replace(visit, payment_status=status, captured_amount=taken)


def _refunded(visit: Visit, event: Told) -> Visit:
    status = "refunded" if event.data["full"] else "captured"
    given = visit.refunded_amount + event.data["amount"]
    return replace(visit, payment_status=status, refunded_amount=given)


def _failed(visit: Visit, event: Told) -> Visit:  # noqa: ARG001 - one shape for all events
    return replace(visit, payment_status="failed")


def _voided(visit: Visit, event: Told) -> Visit:  # noqa: ARG001 - one shape for all events
    return replace(visit, payment_status="voided")


COUNTED: Mapping[str, Callable[[Visit, Told], Visit]] = {
    "booking.requested": _requested,
    "booking.accepted": _accepted,
    "booking.declined": _declined,
    "booking.expired": _expired,
    "booking.released": _released,
    "booking.reassigned": _reassigned,
    "booking.departed": _departed,
    "booking.arrived": _arrived,
    "booking.started": _started,
    "booking.extended": _extended,
    "booking.completed": _completed,
    "booking.cancelled": _cancelled,
    "booking.no_show": _no_show,
    "booking.overridden": _overridden,
    "booking.rated": _rated,
    "payment.authorized": _authorized,
    "payment.captured": _captured,
    "payment.refunded": _refunded,
    "payment.failed": _failed,
    "payment.voided": _voided,
}
