"""A person's own side of notifications: the list of what they were told, the browsers to push to, how to be told.

The list is rendered anew each time, in the language of now, from the same records as what was sent; what was never sent
(stale, no channel) stands in it too, since the page that shows it is a way to be told.
"""

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from domain.context import Context
from domain.notifying import WEB_PUSH, QuietHours
from domain.refusals import FieldError, Refusal
from services.booking_view import stamp
from services.notification_sending import opened
from services.paging import cursor_of, foreign_cursor, item_behind
from services.posting import AddressRefusedError
from services.reply import Answer, Reply
from services.stores import Stores
from services.wording import render
from storage import notifications, push_subscriptions
from storage.ids import new_id
from storage.notifications import Settings
from storage.push_subscriptions import Subscription

POINT_BYTES, AUTH_BYTES = 65, 16


async def list_(stores: Stores, person_id: UUID, now: datetime, *, limit: int, cursor: str | None) -> Answer:
    """List what a person was to be told by now, newest first."""
    after = None if cursor is None else item_behind(cursor)
    if cursor is not None and after is None:
        return foreign_cursor()
    async with stores.db.reading() as tx:
        settings = await notifications.settings(tx, person_id)
        found = await notifications.own(tx, person_id, now, after, limit + 1)
        items = []
        for row in found[:limit]:
            title, body = render(settings.language, row["template"], await opened(tx, row, person_id))
            items.append(
                {
                    "notification_id": str(row["notification_id"]),
                    "template": row["template"],
                    "booking_id": str(row["booking_id"]),
                    "at": stamp(row["due_at"]),
                    "language": settings.language,
                    "title": title,
                    "body": body,
                }
            )
    last = found[limit - 1] if len(found) > limit else None
    next_cursor = None if last is None else cursor_of(last["due_at"], last["notification_id"])
    return Reply(200, {"items": items, "next_cursor": next_cursor})


async def subscribe(stores: Stores, subscription: Subscription, context: Context) -> Answer:
    """Keep a browser of the caller. Refuses keys that fit no encryption, and addresses of our own network."""
    if WEB_PUSH not in stores.channels.by_name or context.actor.person_id is None:
        return Refusal("not_found", "This server sends no web push.")
    wrong = _wrong_keys(subscription)
    try:
        await stores.poster.check(subscription.endpoint)
    except AddressRefusedError:
        wrong = FieldError("/endpoint", "not_allowed", "This is not the address of a push service.")
    if wrong is not None:
        return Refusal("validation", wrong.detail, (wrong,))
    async with stores.db.transaction() as tx:
        kept = await push_subscriptions.keep(
            tx, new_id(), context.actor.person_id, subscription, family_id=context.actor.family_id,
            now=context.now,
        )  # fmt: skip
    if kept is None:
        return Refusal("not_found", "This account is no more.")
    return Reply(201, {"subscription_id": str(kept)})


async def unsubscribe(stores: Stores, person_id: UUID, subscription_id: UUID) -> Answer:
    """Take one of the caller's browsers off."""
    async with stores.db.transaction() as tx:
        removed = await push_subscriptions.remove_own(tx, person_id, subscription_id)
    return Reply(204, {}) if removed else Refusal("not_found", "There is no such subscription.")


def _wrong_keys(subscription: Subscription) -> FieldError | None:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _bytes(subscription.p256dh, POINT_BYTES))
    except ValueError:
        return FieldError("/keys/p256dh", "invalid", "This is no public key of the curve P-256.")
    try:
        _bytes(subscription.auth, AUTH_BYTES)
    except ValueError:
        return FieldError("/keys/auth", "invalid", "This is no secret of 16 bytes.")
    return None


def _bytes(text: str, length: int) -> bytes:
    """Read base64url of so many bytes. Raises ValueError."""
    read = base64.b64decode(
        text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True
    )
    if len(read) != length:
        raise ValueError("another length")
    return read


def settings_view(settings: Settings) -> dict[str, Any]:
    """Return how a person wants to be told, as it is sent."""
    quiet = settings.quiet
    return {
        "language": settings.language,
        "quiet_hours": None
        if quiet is None
        else {"from": _clock(quiet.from_min), "until": _clock(quiet.until_min)},
        "time_zone": settings.time_zone,
        "channels": None if settings.channels is None else list(settings.channels),
    }


def quiet_hours(begin: str, end: str) -> QuietHours | Refusal:
    """Read two different clock times."""
    try:
        return QuietHours(_minutes(begin), _minutes(end))
    except ValueError:
        error = FieldError("/quiet_hours", "invalid", "They begin and end at two different times of a day.")
        return Refusal("validation", error.detail, (error,))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
