"""The typed payloads of booking events. `type` is the wire's name; the fields become the event's `data`.

They hold ids, times and numbers, never names, addresses, positions or free text: an event is kept for ever.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a booking."""

    type: ClassVar[str]

    def data(self) -> dict[str, Any]:
        """Return the event's `data`: every field, by name, as JSON-ready values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Requested(Happened):
    """A customer asked the technician of a card for a visit, and the payment was authorised (or verified).

    `cancellation_version`: the cancellation policy that was in force, by which this visit is judged for ever.
    """

    type: ClassVar[str] = "booking.requested"
    technician_id: UUID
    deadline_at: datetime
    cancellation_version: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted(Happened):
    """The technician said yes; `evidence` is the gate's snapshot: rule version and credentials relied on."""

    type: ClassVar[str] = "booking.accepted"
    technician_id: UUID
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declined(Happened):
    """The technician said no; why stands sealed beside it. `final`: there is no next card, the booking ends."""

    type: ClassVar[str] = "booking.declined"
    technician_id: UUID
    final: bool
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class Expired(Happened):
    """Nobody answered in time. `final`: there is no next card, the booking ends."""

    type: ClassVar[str] = "booking.expired"
    technician_id: UUID | None
    final: bool


@dataclass(frozen=True, slots=True)
class Released(Happened):
    """The technician gave an accepted visit back; it waits for another technician until `deadline_at`."""

    type: ClassVar[str] = "booking.released"
    technician_id: UUID
    deadline_at: datetime
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class Reassigned(Happened):
    """Another technician is asked. `cause`: `dispatcher`; or, for the next card, `declined`, `expired`, `released`."""

    type: ClassVar[str] = "booking.reassigned"
    from_technician_id: UUID | None
    technician_id: UUID
    cause: str
    deadline_at: datetime
    card_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Departed(Happened):
    """The technician is on the way; a GPS session is open."""

    type: ClassVar[str] = "booking.departed"
    gps_session_id: UUID


@dataclass(frozen=True, slots=True)
class CameNear(Happened):
    """The technician is close, once a leg; the state is unchanged. `by`: `distance` or `eta`."""

    type: ClassVar[str] = "booking.near"
    gps_session_id: UUID
    by: str


@dataclass(frozen=True, slots=True)
class Arrived(Happened):
    """The technician is at the door, by `technician` (button) or `detector`; from `no_show_from` they may give up."""

    type: ClassVar[str] = "booking.arrived"
    gps_session_id: UUID | None
    by: str
    no_show_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waited(Happened):
    """Nobody has opened for the whole waiting time: the technician may give up from now on. The state is unchanged."""

    type: ClassVar[str] = "booking.waited"
    no_show_from: datetime


@dataclass(frozen=True, slots=True)
class Started(Happened):
    """The visit began; it should end at `expected_end_at`."""

    type: ClassVar[str] = "booking.started"
    expected_end_at: datetime


@dataclass(frozen=True, slots=True)
class Noted(Happened):
    """Somebody wrote a note; its text stands sealed beside the event."""

    type: ClassVar[str] = "booking.noted"
    kind: str
    author_role: str


@dataclass(frozen=True, slots=True)
class Extended(Happened):
    """The visit takes longer than planned."""

    type: ClassVar[str] = "booking.extended"
    minutes: int
    expected_end_at: datetime


@dataclass(frozen=True, slots=True)
class Overran(Happened):
    """The visit was to be over by `expected_end_at` and is not: said once for each such end; the state is unchanged."""

    type: ClassVar[str] = "booking.overran"
    expected_end_at: datetime


@dataclass(frozen=True, slots=True)
class Completed(Happened):
    """The service is done; the capture of the price follows."""

    type: ClassVar[str] = "booking.completed"
    gps_session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Cancelled(Happened):
    """The visit will not take place. `fee_amount` in minor units of the booking's currency, by `policy`."""

    type: ClassVar[str] = "booking.cancelled"
    by_role: str
    fee_amount: int
    policy: str
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class NoShow(Happened):
    """Nobody opened the door for the whole waiting time."""

    type: ClassVar[str] = "booking.no_show"
    fee_amount: int
    policy: str


@dataclass(frozen=True, slots=True)
class Rated(Happened):
    """The customer rated the visit, once. `tip_amount` in minor units."""

    type: ClassVar[str] = "booking.rated"
    stars: int
    tip_amount: int


@dataclass(frozen=True, slots=True)
class Overridden(Happened):
    """A dispatcher or the founder set the state by hand; the audit row says why.

    Set to arrived, the waiting time begins (`no_show_from`); set to in_service, the visit has its `expected_end_at`.
    """

    type: ClassVar[str] = "booking.overridden"
    from_state: str
    to_state: str
    no_show_from: datetime | None = None
    expected_end_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentAuthorized(Happened):
    """The gateway holds the amount (`verified_only`: the method was checked, the hold comes nearer to the visit)."""

    type: ClassVar[str] = "payment.authorized"
    intent_id: UUID
    amount: int
    currency: str
    verified_only: bool


@dataclass(frozen=True, slots=True)
class PaymentCaptured(Happened):
    """The money moved: the visit's price, or a fee."""

    type: ClassVar[str] = "payment.captured"
    intent_id: UUID
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class PaymentRefunded(Happened):
    """Money went back; `full` when nothing of the price is left."""

    type: ClassVar[str] = "payment.refunded"
    intent_id: UUID
    amount: int
    currency: str
    full: bool


@dataclass(frozen=True, slots=True)
class PaymentFailed(Happened):
    """The gateway refused or gave up; support sees it."""

    type: ClassVar[str] = "payment.failed"
    intent_id: UUID
    kind: str


@dataclass(frozen=True, slots=True)
class PaymentVoided(Happened):
    """The hold was let go; nothing was taken. Kept in the truth, not among the wire's promised types."""

    type: ClassVar[str] = "payment.voided"
    intent_id: UUID


HAPPENED: tuple[type[Happened], ...] = (
    Requested, Accepted, Declined, Expired, Released, Reassigned, Departed, CameNear, Arrived, Waited, Started, Noted,
    Extended, Overran, Completed, Cancelled, NoShow, Rated, Overridden, PaymentAuthorized, PaymentCaptured,
    PaymentRefunded, PaymentFailed, PaymentVoided,
)  # fmt: skip
