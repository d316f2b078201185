"""What needs a dispatcher: the list, acknowledging, snoozing, waking; and the look at credentials that run out.

Alerts about a booking are raised by the deadlines and rules of that booking, in its own transaction, and end with it
(`domain/alerts.py`). Whatever else watches, such as positions, records `AlertRaised` and `AlertsCleared` here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain.alerts import STANDING, AlertAcknowledged, AlertRaised, AlertsCleared, AlertWoken, Kind
from domain.context import SYSTEM, Actor, Context, Role
from domain.facts import Fact
from domain.refusals import Refusal
from services.booking_view import stamp
from services.catalogue import area_at
from services.paging import cursor_of, foreign_cursor, item_behind
from services.reply import Answer, Reply
from services.stores import Stores
from storage import alerts
from storage.alerts import Alert
from storage.db import Tx
from storage.journal import record

BATCH = 100


async def list_(
    stores: Stores,
    context: Context,
    *,
    states: Sequence[str] | None = None,
    kind: str | None = None,
    booking_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Answer:
    """List the alerts of the caller's areas, newest first; those that stand, unless other states are asked for."""
    after = None if cursor is None else item_behind(cursor)
    if cursor is not None and after is None:
        return foreign_cursor()
    async with stores.db.reading() as tx:
        found = await alerts.list_(
            tx, states=list(states or STANDING), area_ids=_areas(context.actor), kind=kind, booking_id=booking_id,
            after=after, limit=limit + 1,
        )  # fmt: skip
    last = found[limit - 1] if len(found) > limit else None
    next_cursor = None if last is None else cursor_of(last.raised_at, last.alert_id)
    return Reply(200, {"items": [view(each) for each in found[:limit]], "next_cursor": next_cursor})


async def visible(stores: Stores, alert_id: UUID, actor: Actor) -> Refusal | None:
    """Refuse with 404 an alert of somebody else's area."""
    async with stores.db.reading() as tx:
        found = await _seen(tx, alert_id, actor)
    return found if isinstance(found, Refusal) else None


async def acknowledge(
    stores: Stores, alert_id: UUID, context: Context, *, minutes: int | None = None
) -> Answer:
    """Look after an alert, for good or for some minutes. One that is over already stays as it is."""
    until = None if minutes is None else context.now + timedelta(minutes=minutes)
    async with stores.db.transaction() as tx:
        found = await _seen(tx, alert_id, context.actor)
        if isinstance(found, Refusal):
            return found
        await record(tx, [AlertAcknowledged(alert_id, until)], context)
        found = await _seen(tx, alert_id, context.actor)
    return found if isinstance(found, Refusal) else Reply(200, view(found))


async def wake_due(stores: Stores, now: datetime) -> int:
    """Raise snoozed alerts again whose time has come; returns how many were found."""
    async with stores.db.reading() as tx:
        due = await alerts.to_wake(tx, now, BATCH)
    if due:
        async with stores.db.transaction() as tx:
            await record(tx, [AlertWoken(alert_id) for alert_id in due], _by_system(now))
    return len(due)


async def look_at_credentials(stores: Stores, now: datetime) -> int:
    """Raise an alert for each credential that runs out soon, clear those that need none; returns how many facts.

    Two processes that look at once raise one alert: the database lets one of a kind stand for a subject.
    """
    today = now.astimezone(UTC).date()
    until = today + timedelta(days=stores.policy.alert_credential_days)
    async with stores.db.transaction() as tx:
        facts: list[Fact] = [
            AlertsCleared(frozenset({Kind.CREDENTIAL_EXPIRING}), subject_id)
            for subject_id in await alerts.no_longer_expiring(tx, until)
        ]
        for row in await alerts.expiring(tx, until, BATCH):
            area = await area_at(tx, row["home_lat"], row["home_lon"])
            data = {
                "credential_id": row["credential_id"],
                "credential_type": row["credential_type"],
                "jurisdiction": row["jurisdiction"],
                "expires_on": row["expires_on"].isoformat(),
                "days_left": (row["expires_on"] - today).days,
                "technician_id": row["technician_id"],
            }
            facts.append(
                AlertRaised(
                    Kind.CREDENTIAL_EXPIRING,
                    row["credential_id"],
                    None if area is None else area.area_id,
                    technician_id=row["technician_id"],
                    data=data,
                )
            )
        await record(tx, facts, _by_system(now))
    return len(facts)


def view(alert: Alert) -> dict[str, Any]:
    """Return the contract's alert, with what a list needs beside it."""
    return {
        "alert_id": str(alert.alert_id),
        "kind": alert.kind,
        "booking_id": _text(alert.booking_id),
        "technician_id": _text(alert.technician_id),
        "area_id": _text(alert.area_id),
        "state": str(alert.state),
        "at": stamp(alert.changed_at),
        "raised_at": stamp(alert.raised_at),
        "snoozed_until": stamp(alert.snoozed_until),
        "data": alert.data,
    }


def _text(of: UUID | None) -> str | None:
    return None if of is None else str(of)


def _areas(actor: Actor) -> list[UUID] | None:
    """Return the areas whose alerts the actor sees; None for all, those of nobody's area included."""
    if actor.role == Role.FOUNDER or actor.areas == "all":
        return None
    return list(actor.areas)


async def _seen(tx: Tx, alert_id: UUID, actor: Actor) -> Alert | Refusal:
    found = await alerts.get(tx, alert_id)
    areas = _areas(actor)
    if found is None or (areas is not None and found.area_id not in areas):
        return Refusal("not_found", "There is no such alert.")
    return found


def _by_system(now: datetime) -> Context:
    return Context(SYSTEM, now, f"alerts-{uuid4().hex[:24]}")
