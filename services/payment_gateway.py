"""The seam to whoever moves the money. What we know of a gateway is this and no more.

An implementation is idempotent by `intent_id`: asked again, it answers what it answered, or does what it had not done.
It raises `GatewayUnreachable` (or a time-out does) when nobody can say what happened; it never guesses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from domain.payments import PaymentIntent
from domain.payouts import Item


class GatewayUnreachable(Exception):
    """No answer came; the thing asked for may have been done."""


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """How an intent ended at the gateway. `ref` is the gateway's name for it; `reason` a short code when declined."""

    status: Literal["succeeded", "declined"]
    ref: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayMessage:
    """What a gateway told us unasked, its signature checked: message ids repeat when it tells us twice."""

    message_id: str
    intent_id: UUID
    answer: GatewayAnswer


class PaymentGateway(Protocol):
    """Does what an intent asks for, by its kind: hold, verify, capture, charge, void, refund."""

    @property
    def name(self) -> str: ...

    async def perform(self, intent: PaymentIntent) -> GatewayAnswer: ...

    async def pay_out(self, item: Item) -> GatewayAnswer:
        """Send a technician's money on; idempotent by `item_id`."""
        ...

    def read_message(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayMessage | None:
        """Read a webhook; None when its signature, its age or its shape is wrong."""
        ...
