"""What needs a dispatcher: alerts, each of one kind about one subject, and what ends them.

At most one alert of a kind stands for a subject (`raised`, or `acknowledged`); raising it again meanwhile changes
nothing, and what was cleared and is raised again is a new alert. Acknowledged until a moment is snoozed: if it still
stands then, it is raised again under its own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain import booking_events as ev
from domain.booking import Booking
from domain.facts import Fact


class Kind(StrEnum):
    """What is wrong. The subject is a booking; of `credential_expiring` it is the credential."""

    LATE_TO_START = "late_to_start"
    PREDICTED_LATE = "predicted_late"
    STOPPED = "stopped"
    SILENT = "silent"
    OFF_ROUTE = "off_route"
    OVERRUN = "overrun"
    CREDENTIAL_EXPIRING = "credential_expiring"
    UNANSWERED = "unanswered"


class AlertState(StrEnum):
    """Whether somebody still has to look. Raised and acknowledged ones stand; cleared ones are history."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


STANDING = frozenset({AlertState.RAISED, AlertState.ACKNOWLEDGED})
OF_A_LEG = frozenset({Kind.PREDICTED_LATE, Kind.STOPPED, Kind.SILENT, Kind.OFF_ROUTE})
OF_A_BOOKING = frozenset(Kind) - {Kind.CREDENTIAL_EXPIRING}
NOT_THERE_YET = OF_A_LEG | {Kind.LATE_TO_START}


@dataclass(frozen=True, slots=True)
class AlertRaised(Fact):
    """Something needs a person. `data` holds ids, times, codes and numbers, no names and no positions.

    `area_id` None: nobody's area, so that only those who serve all of them see it.
    """

    kind: Kind
    subject_id: UUID
    area_id: UUID | None
    booking_id: UUID | None = None
    technician_id: UUID | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AlertsCleared(Fact):
    """Whatever stands of these kinds about a subject is over; nothing happens where nothing stands."""

    kinds: frozenset[Kind]
    subject_id: UUID


@dataclass(frozen=True, slots=True)
class AlertAcknowledged(Fact):
    """Somebody looks after it; `until`, if given, is when it comes back unless it is over by then."""

    alert_id: UUID
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertWoken(Fact):
    """The time of a snoozed alert has come, and it still stands."""

    alert_id: UUID


def about(booking: Booking, kind: Kind, **data: object) -> AlertRaised:
    """Return the fact that something is wrong with a booking."""
    return AlertRaised(
        kind, booking.booking_id, booking.area_id, booking.booking_id, booking.technician_id, data
    )


def ended_by(happened: ev.Happened) -> frozenset[Kind]:
    """Return the kinds of alert about a booking that are over once this has happened to it."""
    match happened:
        case ev.Accepted() | ev.Declined() | ev.Expired():
            return frozenset({Kind.UNANSWERED})
        case ev.Arrived():
            return NOT_THERE_YET
        case ev.Released() | ev.Reassigned():
            return NOT_THERE_YET | {Kind.UNANSWERED}
        case ev.Extended() | ev.Completed():
            return frozenset({Kind.OVERRUN})
        case ev.Cancelled() | ev.Overridden():
            return OF_A_BOOKING
        case _:
            return frozenset()
