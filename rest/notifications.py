"""What you were told, and the browsers in which you want to be told."""

from uuid import UUID

from pydantic import Field

from rest.models import Body, Instant, ListView, Nothing, Page, View
from rest.registry import Ask, Routes
from services import notification_inbox
from services.reply import Answer, Reply
from storage.push_subscriptions import Subscription

ROUTES = Routes("Notifications")


class NotificationView(View):
    """Something that you were told, in your language."""

    notification_id: UUID
    template: str = Field(examples=["customer_accepted"])
    booking_id: UUID
    at: Instant
    language: str
    title: str
    body: str


class PushKeyView(View):
    """What a browser needs to subscribe; null where this server sends no web push."""

    key: str | None = Field(description="`applicationServerKey`, base64url")


class PushKeysBody(Body):
    """The two keys of a PushSubscription, in base64url."""

    p256dh: str = Field(min_length=1, max_length=128)
    auth: str = Field(min_length=1, max_length=64)


class PushSubscriptionBody(Body):
    """A browser's PushSubscription."""

    endpoint: str = Field(min_length=1, max_length=2048, examples=["https://push.example/abc"])
    keys: PushKeysBody


class PushSubscriptionView(View):
    """Its name here, to take it off with."""

    subscription_id: UUID


@ROUTES.get("/v1/me/notifications", answer=ListView[NotificationView])
async def notifications(ask: Ask[Nothing, Page]) -> Answer:
    """List what you were told, newest first."""
    return await notification_inbox.list_(
        ask.stores, ask.person_id, ask.context.now, limit=ask.query.limit, cursor=ask.query.cursor
    )


@ROUTES.get("/v1/push-key", answer=PushKeyView)
async def push_key(ask: Ask) -> Answer:
    """Read the key with which a browser subscribes."""
    return Reply(200, {"key": ask.stores.channels.push_key})


@ROUTES.post(
    "/v1/me/push-subscriptions",
    answer=PushSubscriptionView,
    status=201,
    refusals=("not_found", "validation"),
    limit="costly",
)
async def subscribe(ask: Ask[PushSubscriptionBody]) -> Answer:
    """Let this browser be told; the same browser keeps its id, and belongs to who signed in last.

    Ten browsers at most, the oldest gives way. Signing out ends it.
    """
    keys = ask.body.keys
    return await notification_inbox.subscribe(
        ask.stores, Subscription(ask.body.endpoint, keys.p256dh, keys.auth), ask.context
    )


@ROUTES.delete("/v1/me/push-subscriptions/{subscription_id}", status=204)
async def unsubscribe(ask: Ask) -> Answer:
    """Let a browser be told no more."""
    return await notification_inbox.unsubscribe(ask.stores, ask.person_id, ask.id("subscription_id"))
