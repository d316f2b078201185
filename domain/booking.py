"""The life of a booking: its states, one transition table, and `apply`, which folds events into the row.

The table below drives the code, the diagram in the docs, the OpenAPI and the tests. What always holds: a booking's
`version` is the `seq` of its newest event, and the row equals the fold of its events.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain import booking_events as ev
from domain.context import Role
from domain.facts import Fact


class State(StrEnum):
    """Where a booking stands."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    EN_ROUTE = "en_route"
    ARRIVED = "arrived"
    IN_SERVICE = "in_service"
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


FINAL = frozenset({State.COMPLETED, State.DECLINED, State.EXPIRED, State.CANCELLED, State.NO_SHOW})
OPEN = frozenset(State) - FINAL
TURNED_DOWN = frozenset({State.DECLINED, State.EXPIRED})
BEFORE_ARRIVAL = frozenset({State.REQUESTED, State.ACCEPTED, State.EN_ROUTE})


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: who may take a booking from where to where, by which command, and what it is called."""

    command: str
    sources: frozenset[State]
    target: State
    by: frozenset[Role]
    event: str


def _t(command: str, sources: set[State], target: State, by: set[Role], event: str) -> Transition:
    return Transition(command, frozenset(sources), target, frozenset(by), event)


TRANSITIONS: tuple[Transition, ...] = (
    _t("accept", {State.REQUESTED}, State.ACCEPTED, {Role.TECHNICIAN}, "booking.accepted"),
    _t("decline", {State.REQUESTED}, State.DECLINED, {Role.TECHNICIAN}, "booking.declined"),
    _t("expire", {State.REQUESTED}, State.EXPIRED, {Role.SYSTEM}, "booking.expired"),
    _t("cancel", set(BEFORE_ARRIVAL), State.CANCELLED,
       {Role.CUSTOMER, Role.DISPATCHER, Role.SUPPORT}, "booking.cancelled"),
    _t("cancel", {State.ARRIVED, State.IN_SERVICE}, State.CANCELLED, {Role.DISPATCHER}, "booking.cancelled"),
    _t("cancel", {State.ACCEPTED, State.EN_ROUTE}, State.REQUESTED, {Role.TECHNICIAN}, "booking.released"),
    _t("reassign", set(BEFORE_ARRIVAL), State.REQUESTED, {Role.DISPATCHER, Role.SYSTEM}, "booking.reassigned"),
    _t("depart", {State.ACCEPTED}, State.EN_ROUTE, {Role.TECHNICIAN}, "booking.departed"),
    _t("arrive", {State.EN_ROUTE}, State.ARRIVED, {Role.TECHNICIAN, Role.SYSTEM}, "booking.arrived"),
    _t("start", {State.ARRIVED}, State.IN_SERVICE, {Role.TECHNICIAN}, "booking.started"),
    _t("no-show", {State.ARRIVED}, State.NO_SHOW, {Role.TECHNICIAN}, "booking.no_show"),
    _t("extend", {State.IN_SERVICE}, State.IN_SERVICE, {Role.TECHNICIAN}, "booking.extended"),
    _t("complete", {State.IN_SERVICE}, State.COMPLETED, {Role.TECHNICIAN}, "booking.completed"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Price:
    """A frozen quote: integer minor units, tax exclusive; `total == base + travel + tax`."""

    base: int
    travel: int
    tax: int
    total: int
    currency: str
    tax_bp: int


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking as the rules see it. The address stays sealed (`address`): rules never need it."""

    booking_id: UUID
    number: str
    state: State
    version: int
    service: str
    experience: tuple[str, ...]
    customer_id: UUID
    technician_id: UUID | None
    match_id: UUID
    card_id: UUID
    area_id: UUID
    jurisdiction: str
    starts_at: datetime
    ends_at: datetime
    expected_end_at: datetime | None
    deadline_at: datetime | None
    price: Price
    payment_status: str
    gps_session_id: UUID | None
    fallback: str
    address: bytes
    offered: tuple[UUID, ...]
    near_at: datetime | None
    arrived_at: datetime | None
    fee_amount: int
    rated: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BookingEvent(Fact):
    """A booking, what just happened to it, and the technician for whom this is the last word, if any."""

    leads: ClassVar[bool] = True
    booking: Booking
    happened: ev.Happened
    removed_id: UUID | None = None
    note: bytes | None = None


def apply(
    booking: Booking, happened: ev.Happened, at: datetime, *, note: bytes | None = None
) -> BookingEvent:
    """Fold one event into a booking: the only way that a booking changes. `note` is sealed text, kept beside it."""
    after = replace(evolve(booking, happened, at), version=booking.version + 1, updated_at=at)
    removed = booking.technician_id if booking.technician_id != after.technician_id else None
    return BookingEvent(after, happened, removed, note)


def evolve(booking: Booking, happened: ev.Happened, at: datetime) -> Booking:
    """Return the booking after `happened`, its version untouched: one arm an event."""
    match happened:
        case ev.Requested() | ev.Accepted() | ev.Declined() | ev.Expired() | ev.Released() | ev.Reassigned():
            return _evolve_offer(booking, happened)
        case ev.Departed() | ev.CameNear() | ev.Arrived() | ev.Waited():
            return _evolve_way(booking, happened, at)
        case ev.Started() | ev.Extended() | ev.Overran() | ev.Noted():
            return _evolve_visit(booking, happened)
        case ev.Completed() | ev.Cancelled() | ev.NoShow() | ev.Overridden() | ev.Rated():
            return _evolve_end(booking, happened, at)
        case _:
            return replace(booking, payment_status=_payment_status(booking, happened))


def _evolve_offer(booking: Booking, happened: ev.Happened) -> Booking:
    match happened:
        case ev.Requested(technician_id=asked, deadline_at=deadline_at):
            offered = (*booking.offered, asked)
            return replace(booking, technician_id=asked, deadline_at=deadline_at, offered=offered)
        case ev.Accepted():
            return replace(booking, state=State.ACCEPTED, deadline_at=None)
        case ev.Declined(final=True):
            return replace(booking, state=State.DECLINED, deadline_at=None)
        case ev.Expired(final=True):
            return replace(booking, state=State.EXPIRED, deadline_at=None)
        case ev.Released(deadline_at=deadline_at):
            return replace(_without_technician(booking), deadline_at=deadline_at)
        case ev.Reassigned(technician_id=asked, deadline_at=deadline_at, card_id=card_id):
            offered = (*booking.offered, asked)
            return replace(_without_technician(booking), technician_id=asked, deadline_at=deadline_at,
                           card_id=card_id or booking.card_id, offered=offered)  # fmt: skip
        case _:
            return _without_technician(booking)


def _without_technician(booking: Booking) -> Booking:
    return replace(booking, state=State.REQUESTED, technician_id=None, deadline_at=None, gps_session_id=None,
                   near_at=None)  # fmt: skip


def _evolve_way(booking: Booking, happened: ev.Happened, at: datetime) -> Booking:
    match happened:
        case ev.Departed(gps_session_id=session_id):
            return replace(booking, state=State.EN_ROUTE, gps_session_id=session_id, near_at=None)
        case ev.CameNear():
            return replace(booking, near_at=at)
        case ev.Arrived(no_show_from=until):
            return replace(
                booking, state=State.ARRIVED, gps_session_id=None, arrived_at=at, deadline_at=until
            )
        case _:
            return booking


def _evolve_visit(booking: Booking, happened: ev.Happened) -> Booking:
    match happened:
        case ev.Started(expected_end_at=end):
            return replace(booking, state=State.IN_SERVICE, expected_end_at=end, deadline_at=None)
        case ev.Extended(expected_end_at=end):
            return replace(booking, expected_end_at=end)
        case _:
            return booking


def _evolve_end(booking: Booking, happened: ev.Happened, at: datetime) -> Booking:
    over = replace(booking, deadline_at=None, gps_session_id=None)
    match happened:
        case ev.Completed():
            return replace(over, state=State.COMPLETED)
        case ev.Cancelled(fee_amount=fee):
            return replace(over, state=State.CANCELLED, fee_amount=fee)
        case ev.NoShow(fee_amount=fee):
            return replace(over, state=State.NO_SHOW, fee_amount=fee)
        case ev.Overridden(to_state=to, no_show_from=until, expected_end_at=end):
            arrived_at = at if to == State.ARRIVED else booking.arrived_at
            return replace(over, state=State(to), arrived_at=arrived_at, deadline_at=until,
                           expected_end_at=end or booking.expected_end_at)  # fmt: skip
        case _:
            return replace(booking, rated=True)


def _payment_status(booking: Booking, happened: ev.Happened) -> str:
    match happened:
        case ev.PaymentAuthorized(verified_only=verified_only):
            return "verified" if verified_only else "authorized"
        case ev.PaymentCaptured():
            # A tip that comes in after a full refund pays the technician; the visit itself stays refunded.
            return "refunded" if booking.payment_status == "refunded" else "captured"
        case ev.PaymentRefunded(full=full):
            return "refunded" if full else "captured"
        case ev.PaymentFailed():
            return "failed"
        case ev.PaymentVoided():
            return "voided"
        case _:
            raise TypeError(f"{type(happened).__name__} has no arm")
