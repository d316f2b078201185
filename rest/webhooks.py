"""Outgoing webhooks: the founder's programs are told of what happened, by the Standard Webhooks specification."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from domain.context import Context, Role
from domain.refusals import Refusal
from domain.webhooks import OVERLAP_S, TOPICS_AT_MOST
from rest.finance import Pages
from rest.models import Body, Instant, ListView, Nothing, Page, View
from rest.registry import Ask, PathValues, Routes
from services import webhook_queue, webhooks
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Webhooks")

OWNERS = frozenset({Role.FOUNDER})

type Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://example.com/doorstep"])]
type Topics = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(min_length=1, max_length=TOPICS_AT_MOST, examples=[["booking.*", "payment.captured"]]),
]
type Description = Annotated[str, Field(max_length=200)]


class RegisterBody(Body):
    """Where to post, and what: `*`, a family (`booking.*`), or types of events."""

    url: Url
    topics: Topics
    description: Description = ""


class ChangeBody(Body):
    """What is to be another; what is absent stays. What waits for a webhook is dropped when it is paused."""

    url: Url | None = None
    topics: Topics | None = None
    description: Description | None = None
    state: Literal["active", "paused"] | None = None


class RotateBody(Body):
    """How long the secrets before the new one sign as well; 0 when one of them has leaked."""

    overlap_s: int = Field(default=OVERLAP_S, ge=0, le=7 * OVERLAP_S)


class ReplayBody(Body):
    """What to post again, by exactly one of: a cursor (what is behind it), a moment, or one delivery."""

    cursor: str | None = Field(default=None, min_length=1, max_length=512)
    since: Instant | None = None
    delivery_id: UUID | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.cursor, self.since, self.delivery_id)) != 1:
            raise ValueError("Give exactly one of cursor, since and delivery_id")
        return self


class WebhookView(View):
    """A webhook. `reason` says why it is not active: `by_hand`, `failing` for days, `behind`, `gone` (it said 410)."""

    webhook_id: UUID
    url: str
    topics: list[str]
    description: str
    state: Literal["active", "paused", "disabled"]
    reason: Literal["by_hand", "failing", "behind", "gone"] | None
    created_at: Instant
    changed_at: Instant
    failing_since: Instant | None


class WebhookMadeView(WebhookView):
    """A new webhook with its secret, which is shown only now."""

    secret: str


class RotatedView(View):
    """The new secret, shown only now, and until when the others sign as well."""

    webhook_id: UUID
    secret: str
    others_sign_until: Instant


class AttemptView(View):
    """One post. `status` null: there was no answer, and `error` says why."""

    at: Instant
    took_ms: int
    status: int | None
    error: str | None


class DeliveryView(View):
    """One event on its way to a webhook; `event_id` is the `webhook-id` that the receiver sees."""

    delivery_id: UUID
    event_id: UUID
    type: str
    booking_id: UUID | None
    correlation_id: str
    replay: bool
    state: Literal["pending", "delivered", "dead", "dropped"]
    created_at: Instant
    next_try_at: Instant | None
    settled_at: Instant | None
    attempts: list[AttemptView]


class Deliveries(Pages):
    """Which deliveries."""

    state: Literal["pending", "delivered", "dead", "dropped"] | None = Field(
        default=None, description="Only these"
    )


class ReplayedView(View):
    """How many were queued; `next_cursor`, when not null, is where the next call goes on."""

    queued: int
    next_cursor: str | None


class PingedView(View):
    """The test delivery."""

    delivery_id: UUID


async def webhook_visible(stores: Stores, path: PathValues, context: Context) -> Refusal | None:  # noqa: ARG001 - the registry's signature
    """Refuse with 404 what does not exist."""
    return await webhooks.visible(stores, UUID(str(path["webhook_id"])))


@ROUTES.post("/v1/webhooks", roles=OWNERS, answer=WebhookMadeView, status=201, refusals=("webhook_state",))
async def register(ask: Ask[RegisterBody]) -> Answer:
    """Be told of what happens.

    The secret is shown only now. At most 20 webhooks; an address must be public, and https.
    """
    body = ask.body
    return await webhooks.register(ask.stores, body.url, tuple(body.topics), body.description, ask.context)


@ROUTES.get("/v1/webhooks", roles=OWNERS, answer=ListView[WebhookView])
async def list_webhooks(ask: Ask[Nothing, Page]) -> Answer:
    """List the webhooks, oldest first."""
    return await webhooks.list_(ask.stores, ask.query.limit, ask.query.cursor)


@ROUTES.get("/v1/webhooks/{webhook_id}", roles=OWNERS, answer=WebhookView)
async def read_webhook(ask: Ask) -> Answer:
    """Read a webhook."""
    return await webhooks.read(ask.stores, ask.id("webhook_id"))


@ROUTES.patch("/v1/webhooks/{webhook_id}", roles=OWNERS, answer=WebhookView, visible=webhook_visible)
async def change_webhook(ask: Ask[ChangeBody]) -> Answer:
    """Point a webhook elsewhere, at other events, pause it or let it go on."""
    body = ask.body
    wanted = webhooks.Change(
        body.url, None if body.topics is None else tuple(body.topics), body.description, body.state
    )
    return await webhooks.change(ask.stores, ask.id("webhook_id"), wanted, ask.context)


@ROUTES.delete("/v1/webhooks/{webhook_id}", roles=OWNERS, status=204)
async def delete_webhook(ask: Ask) -> Answer:
    """Delete a webhook; what waits for it is not sent any more."""
    return await webhooks.remove(ask.stores, ask.id("webhook_id"), ask.context)


@ROUTES.post("/v1/webhooks/{webhook_id}/rotate", roles=OWNERS, answer=RotatedView, visible=webhook_visible)
async def rotate_secret(ask: Ask[RotateBody]) -> Answer:
    """Draw a new secret. For a day, or as long as asked, the one before signs as well."""
    return await webhooks.rotate(ask.stores, ask.id("webhook_id"), ask.body.overlap_s, ask.context)


@ROUTES.post("/v1/webhooks/{webhook_id}/ping", roles=OWNERS, answer=PingedView, status=202)
async def ping_webhook(ask: Ask) -> Answer:
    """Send a test message (`webhook.ping`), also to a webhook that is paused."""
    return await webhook_queue.ping(ask.stores, ask.id("webhook_id"), ask.context)


@ROUTES.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    roles=OWNERS,
    answer=ListView[DeliveryView],
    visible=webhook_visible,
)
async def list_deliveries(ask: Ask[Nothing, Deliveries]) -> Answer:
    """List what was posted and what waits, newest first, with every attempt. Kept for 30 days."""
    query = ask.query
    return await webhooks.delivered(ask.stores, ask.id("webhook_id"), query.state, query.cursor, query.limit)


@ROUTES.post(
    "/v1/webhooks/{webhook_id}/replay",
    roles=OWNERS,
    answer=ReplayedView,
    status=202,
    visible=webhook_visible,
    refusals=("cursor_expired", "webhook_state"),
)
async def replay(ask: Ask[ReplayBody]) -> Answer:
    """Post again what happened behind a cursor, since a moment, or one delivery.

    At most 1000 events a call. They keep their ids, so a receiver that remembers ids loses nothing by it.
    """
    body = ask.body
    return await webhook_queue.replay(
        ask.stores,
        ask.id("webhook_id"),
        cursor=body.cursor,
        since=body.since,
        delivery_id=body.delivery_id,
        context=ask.context,
    )
