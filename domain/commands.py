"""What people ask of a booking, parsed: one frozen command each. Doors build them, services and rules read them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ReasonCode(StrEnum):
    """Why a visit will not take place, or not by this technician, as reports count it."""

    ANOTHER_TIME = "another_time"
    CHANGED_MIND = "changed_mind"
    FOUND_ANOTHER = "found_another"
    PRICE = "price"
    TOO_LATE = "too_late"
    PERSONAL = "personal"  # nobody's health belongs into what is kept for ever
    NO_TIME = "no_time"
    TOO_FAR = "too_far"
    VEHICLE = "vehicle"
    NOT_MY_WORK = "not_my_work"
    UNSAFE = "unsafe"
    MISTAKE = "mistake"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the visit takes place; sealed under the customer's key as soon as it is inside."""

    line1: str
    city: str
    postcode: str
    lat: float
    lon: float
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class RequestBooking:
    """Ask the technician of a card for a visit."""

    match_id: UUID
    card_id: UUID
    address: Address
    payment_method: str
    starts_at: datetime | None = None
    fallback: str = "none"


@dataclass(frozen=True, slots=True)
class Accept:
    """Yes."""


@dataclass(frozen=True, slots=True)
class Decline:
    """No, because: in words, which are sealed, and as a code, which is counted."""

    reason: str
    reason_code: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class Depart:
    """On the way: opens the GPS session."""


@dataclass(frozen=True, slots=True)
class Arrive:
    """At the door. `by`: `technician` (the button) or `detector`; a detector names the session that it watched."""

    by: str = "technician"
    gps_session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """The visit begins. `code`: what the customer may have been told to ask for."""

    code: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A note to the others of this booking. `kind`: late, access, progress, message."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Extend:
    """The visit takes longer."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The service is done."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The visit will not take place (from its technician: give it back)."""

    reason: str
    reason_code: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class NoShow:
    """Nobody opened."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reassign:
    """Ask another technician."""

    technician_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Stars, words, and a tip in minor units; its currency must be the booking's."""

    stars: int
    comment: str | None = None
    tip_amount: int = 0
    tip_currency: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """Set the state by hand, and say why."""

    state: str
    reason: str
