"""What arrives at a webhook, as the document tells it under `webhooks`; the tests hold each message to its model."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from domain.webhooks import PING, TYPES
from rest.bookings import PaymentView, PriceView
from rest.models import Instant, View

NAMES: list[JsonValue] = [*sorted(TYPES)]
SIGNED = {
    "webhook-id": "The event's id: the same on every try and every replay",
    "webhook-timestamp": "Seconds since the epoch, of this try",
    "webhook-signature": "`v1,` and base64, one for each secret that signs now, spaces between",
}


class MessageBookingView(View):
    """A booking as it stands when the message is sent, without names, address, position and free text."""

    booking_id: UUID
    number: str
    state: str
    version: int
    service: str
    experience: list[str]
    customer_id: UUID
    technician_id: UUID | None
    area_id: UUID
    jurisdiction: str
    starts_at: Instant
    ends_at: Instant
    expected_end_at: Instant | None
    price: PriceView
    payment: PaymentView
    match_id: UUID
    card_id: UUID
    created_at: Instant


class MessageDataView(View):
    """The event. `details` are its own ids, times and numbers; `cursor` is null once the outbox let it go."""

    event_id: UUID
    booking_id: UUID
    seq: int
    correlation_id: str
    cursor: str | None
    actor_role: str
    details: dict[str, Any]
    booking: MessageBookingView


class MessageView(View):
    """Something happened to a booking or its payment."""

    type: str = Field(json_schema_extra={"enum": NAMES})
    timestamp: Instant
    data: MessageDataView


class PingDataView(View):
    """Whose test it is."""

    webhook_id: UUID


class PingView(View):
    """A test message."""

    type: Literal["webhook.ping"]
    timestamp: Instant
    data: PingDataView


MESSAGES: Mapping[str, type[View]] = {"event": MessageView, PING: PingView}
