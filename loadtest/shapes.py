"""The few parts of the wire's shapes that a simulated phone reads.

Parsed once at the edge, so that nothing further in looks into raw JSON. A field the phone does not need
is not here; a field the server adds later is ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

type Json = dict[str, Any]
type LatLon = tuple[float, float]

ACTIVE = frozenset({"requested", "accepted", "en_route", "arrived", "in_service"})
ENDED = frozenset({"declined", "expired", "cancelled", "no_show", "completed"})


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs in; the password never shows in a log or a traceback."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.email})"

    @property
    def name(self) -> str:
        """The part before the @: short enough for a status line."""
        return self.email.split("@", 1)[0]


@dataclass(frozen=True, slots=True)
class Booking:
    """One booking as its people see it; `place` is None for readers who may not know the address."""

    booking_id: str
    state: str
    version: int
    service: str
    technician_id: str | None
    customer_id: str | None
    place: LatLon | None
    starts_at: datetime | None
    ends_at: datetime | None
    session_id: str | None
    total: int
    currency: str

    @property
    def active(self) -> bool:
        """Whether somebody still has to do something for it."""
        return self.state in ACTIVE

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> "Booking":
        """Read a booking; KeyError if it has no id or state."""
        address = raw.get("address") or {}
        price = (raw.get("price") or {}).get("total") or {}
        place = (
            (float(address["lat"]), float(address["lon"]))
            if address.get("lat") is not None and address.get("lon") is not None
            else None
        )
        return Booking(
            booking_id=raw["booking_id"],
            state=raw["state"],
            version=int(raw.get("version") or 0),
            service=str(raw.get("service") or ""),
            technician_id=(raw.get("technician") or {}).get("technician_id"),
            customer_id=(raw.get("customer") or {}).get("customer_id"),
            place=place,
            starts_at=parse_time(raw.get("starts_at")),
            ends_at=parse_time(raw.get("ends_at")),
            session_id=raw.get("gps_session_id"),
            total=int(price.get("amount") or 0),
            currency=str(price.get("currency") or "USD"),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of /bookings; `booking` is its state now, as this reader may see it."""

    cursor: str
    event_id: str
    type: str
    booking_id: str
    booking: Booking | None

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> "Event":
        """Read an event; KeyError if it lacks what identifies it."""
        booking = raw.get("booking")
        return Event(
            cursor=raw["cursor"],
            event_id=raw["event_id"],
            type=raw["type"],
            booking_id=raw["booking_id"],
            booking=Booking.parse(booking) if booking else None,
        )


@dataclass(frozen=True, slots=True)
class Card:
    """One technician on offer."""

    card_id: str
    position: int
    technician_id: str
    eta_s: float
    distance_m: float

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> "Card":
        """Read a card of a discovery."""
        return Card(
            card_id=raw["card_id"],
            position=int(raw.get("position") or 0),
            technician_id=raw["technician"]["technician_id"],
            eta_s=float(raw.get("eta_s") or 0),
            distance_m=float(raw.get("distance_m") or 0),
        )


@dataclass(frozen=True, slots=True)
class Match:
    """The answer to a discovery; `reason` says why there are no cards."""

    match_id: str
    jurisdiction: str | None
    reason: str | None
    cards: tuple[Card, ...]

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> "Match":
        """Read a discovery's answer."""
        return Match(
            match_id=raw["match_id"],
            jurisdiction=raw.get("jurisdiction"),
            reason=raw.get("reason"),
            cards=tuple(Card.parse(card) for card in raw.get("cards") or ()),
        )


@dataclass(frozen=True, slots=True)
class Technician:
    """What a technician's phone knows of itself."""

    technician_id: str
    status: str
    services: tuple[str, ...]
    home: LatLon | None

    @staticmethod
    def parse(raw: Mapping[str, Any]) -> "Technician":
        """Read GET /v1/technicians/me."""
        home = raw.get("home_base") or {}
        return Technician(
            technician_id=raw["technician_id"],
            status=str(raw.get("status") or ""),
            services=tuple(str(name) for name in raw.get("services") or ()),
            home=(float(home["lat"]), float(home["lon"])) if "lat" in home and "lon" in home else None,
        )


def parse_time(text: str | None) -> datetime | None:
    """RFC 3339 to an aware datetime; None stays None."""
    return datetime.fromisoformat(text) if text else None
