"""Where payment gateways tell us things unasked. The body is read only after its signature was checked."""

from rest.models import Raw, View
from rest.registry import ANYBODY, Ask, Routes
from services import payment_webhooks
from services.reply import Answer

ROUTES = Routes("Payment webhooks")


class ReceivedView(View):
    """We have it; send it no more."""

    received: bool


@ROUTES.post(
    "/v1/webhooks/payments/{gateway}", roles=ANYBODY, answer=ReceivedView, refusals=("unauthenticated",)
)
async def receive(ask: Ask[Raw]) -> Answer:
    """Take a message of a payment gateway.

    Signed as Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), at most five minutes old;
    a message that comes twice counts once.
    """
    return await payment_webhooks.receive(ask.stores, ask.text("gateway"), ask.headers, ask.raw, ask.context)
