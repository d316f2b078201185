"""What needs a dispatcher, and that somebody looks after it."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from domain.alerts import AlertState, Kind
from domain.context import Context, Role
from domain.refusals import Refusal
from rest.models import Body, Instant, ListView, Nothing, Page, View, each_of
from rest.registry import Ask, PathValues, Routes
from services import alerts
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Alerts")

DISPATCHER = frozenset({Role.DISPATCHER})
LONGEST_SNOOZE_MIN = 24 * 60


async def alert_visible(stores: Stores, path: PathValues, context: Context) -> Refusal | None:
    """Refuse with 404 an alert that the caller may not see."""
    return await alerts.visible(stores, UUID(str(path["alert_id"])), context.actor)


class AlertView(View):
    """One alert. `at`: since when it is in this state; `data` is the kind's own."""

    alert_id: UUID
    kind: Kind
    booking_id: UUID | None
    technician_id: UUID | None
    area_id: UUID | None
    state: AlertState
    at: Instant
    raised_at: Instant
    snoozed_until: Instant | None
    data: dict[str, Any]


class SnoozeBody(Body):
    """For how long."""

    minutes: int = Field(ge=1, le=LONGEST_SNOOZE_MIN, examples=[15])


class Filters(Page):
    """Which alerts."""

    state: Annotated[str, each_of(AlertState)] | None = Field(
        default=None,
        max_length=100,
        description="One state, or several with commas between; without it those that stand",
        examples=["raised"],
    )
    kind: Kind | None = None
    booking_id: UUID | None = None


@ROUTES.get("/v1/alerts", roles={Role.DISPATCHER, Role.FOUNDER}, answer=ListView[AlertView])
async def list_(ask: Ask[Nothing, Filters]) -> Answer:
    """List the alerts of your areas, newest first.

    Those that stand (raised or acknowledged), unless `state` asks for others.
    """
    query = ask.query
    return await alerts.list_(
        ask.stores,
        ask.context,
        states=query.state.split(",") if query.state else None,
        kind=query.kind,
        booking_id=query.booking_id,
        limit=query.limit,
        cursor=query.cursor,
    )


@ROUTES.post("/v1/alerts/{alert_id}/acknowledge", roles=DISPATCHER, answer=AlertView, visible=alert_visible)
async def acknowledge(ask: Ask) -> Answer:
    """Say that you look after it. An alert that is over already stays as it is."""
    return await alerts.acknowledge(ask.stores, ask.id("alert_id"), ask.context)


@ROUTES.post("/v1/alerts/{alert_id}/snooze", roles=DISPATCHER, answer=AlertView, visible=alert_visible)
async def snooze(ask: Ask[SnoozeBody]) -> Answer:
    """Put it off: acknowledged for some minutes, and raised again if it still stands then."""
    return await alerts.acknowledge(ask.stores, ask.id("alert_id"), ask.context, minutes=ask.body.minutes)
