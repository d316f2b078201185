"""Notifications: the subscriber that turns what happened into what somebody is to be told, in its cursor's transaction.

It writes what is wanted and a job for each (`notification_sending`), and nothing else. Ids follow from event, person
and template, so a replay wants nothing twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain import notifying
from domain.context import SYSTEM, Context
from domain.notifying import Heard
from services.notification_sending import job, skipped
from services.stores import Stores
from services.subscriber import Happened, Subscriber
from storage import notifications as rows
from storage.db import Tx
from storage.journal import record_all
from storage.notifications import Notification


async def tell(stores: Stores, tx: Tx, batch: Sequence[Happened]) -> None:  # noqa: ARG001 - a Handle
    """Write what is wanted because of these events, and a job for each that is still of use."""
    now = datetime.now(UTC)
    around = await rows.surroundings(tx, [h.booking_id for h in batch if h.booking_id is not None])
    wanted: dict[UUID, tuple[Notification, Context]] = {}
    for happened in batch:
        if happened.booking_id is None or happened.booking_id not in around:
            continue
        context = Context(SYSTEM, now, happened.correlation_id, causation_id=happened.event_id)
        for each in notifying.wanted(_heard(happened, around[happened.booking_id])):
            one = Notification(
                notification_id=notification_id(happened.event_id, each.person_id, each.template),
                person_id=each.person_id, template=each.template, event_id=happened.event_id,
                booking_id=happened.booking_id, technician_id=each.technician_id,
                correlation_id=happened.correlation_id, at_once=each.at_once, wanted_at=now, due_at=each.due_at,
                useful_until=each.useful_until, finished_at=now if each.useful_until <= now else None,
            )  # fmt: skip
            wanted[one.notification_id] = one, context
    new = await rows.add(tx, [one for one, _ in wanted.values()])
    fresh = [(one, context) for notification, (one, context) in wanted.items() if notification in new]
    await rows.attempted(
        tx, [skipped(one.notification_id, "stale", now) for one, _ in fresh if one.finished_at]
    )
    await record_all(
        tx, [([job(one.notification_id, one.due_at)], context) for one, context in fresh if not one.finished_at]
    )  # fmt: skip


SUBSCRIBER = Subscriber("notifications", tell)


def notification_id(event_id: UUID, person_id: UUID, template: str) -> UUID:
    """Return a UUIDv7 that follows from its parts: the event's time, and a digest in place of chance."""
    digest = hashlib.sha256(event_id.bytes + person_id.bytes + template.encode()).digest()
    value = bytearray(event_id.bytes[:6] + digest[:10])
    value[6] = value[6] & 0x0F | 0x70
    value[8] = value[8] & 0x3F | 0x80
    return UUID(bytes=bytes(value))


def _heard(happened: Happened, booking: Mapping[str, Any]) -> Heard:
    """Add what the rules need. The audience is the customer, the present technician, and who was taken off."""
    named = happened.data.get("technician_id")
    present = [p for p in happened.audience if p not in (booking["customer_id"], happened.removed_id)]
    return Heard(
        topic=happened.topic,
        at=happened.at,
        data=happened.data,
        actor_role=happened.actor_role,
        customer_id=booking["customer_id"],
        technician_id=UUID(str(named)) if named else next(iter(present), None),
        removed_id=happened.removed_id,
        starts_at=booking["starts_at"],
        time_zone=booking["time_zone"],
    )
