"""What a webhook is told: an event and its booking as it stands when the message is sent.

No names, no address, no position and no free text, so that nothing personal leaves the house, and nothing has to be
called back when a person is erased.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from domain.booking import Booking
from domain.webhooks import PING
from services.booking_view import stamp
from services.feed import encode_cursor
from storage.outbox import Place

UNTOLD = frozenset(
    {"evidence"}
)  # which licences the gate relied on: GET /v1/bookings/{id}/credentials shows it


def event_message(event: Mapping[str, Any], booking: Booking, epoch: str) -> bytes:
    """Return the body for an event. `cursor` is null once the outbox has let the event go."""
    place = None if event["outbox_id"] is None else Place(event["xid"], event["outbox_id"])
    return _message(
        event["type"],
        event["at"],
        {
            "event_id": str(event["event_id"]),
            "booking_id": str(event["booking_id"]),
            "seq": event["seq"],
            "correlation_id": event["correlation_id"],
            "cursor": None if place is None else encode_cursor(epoch, place),
            "actor_role": event["actor_role"],
            "details": {name: value for name, value in event["data"].items() if name not in UNTOLD},
            "booking": booking_without_people(booking),
        },
    )


def ping_message(webhook_id: UUID, at: datetime) -> bytes:
    """Return the body of a test delivery."""
    return _message(PING, at, {"webhook_id": str(webhook_id)})


def booking_without_people(b: Booking) -> dict[str, Any]:
    """Return a booking as outsiders may know it: ids, state, times and price."""
    return {
        "booking_id": str(b.booking_id),
        "number": b.number,
        "state": str(b.state),
        "version": b.version,
        "service": b.service,
        "experience": list(b.experience),
        "customer_id": str(b.customer_id),
        "technician_id": None if b.technician_id is None else str(b.technician_id),
        "area_id": str(b.area_id),
        "jurisdiction": b.jurisdiction,
        "starts_at": stamp(b.starts_at),
        "ends_at": stamp(b.ends_at),
        "expected_end_at": stamp(b.expected_end_at),
        "price": {
            part: {"amount": getattr(b.price, part), "currency": b.price.currency}
            for part in ("base", "travel", "tax", "total")
        },
        "payment": {"status": b.payment_status},
        "match_id": str(b.match_id),
        "card_id": str(b.card_id),
        "created_at": stamp(b.created_at),
    }


def _message(kind: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "timestamp": stamp(at), "data": data})
