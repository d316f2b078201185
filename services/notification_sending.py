"""Sending one notification: a job that renders at the last moment, so that no text and no address lies in a queue.

It decides under the row's lock, sends under a lease on the channels that have not settled, and records each attempt:
once for each channel, however often the job runs. A process that dies between the other side's yes and our record sends
again when its lease is over: at least once towards the outside, with the same id.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from domain import notifying
from domain.booking import State
from domain.context import Context
from domain.facts import JobWanted
from domain.money import Money
from domain.notifying import EMAIL, LOG, SMS, WEB_PUSH, Standing
from services.channels.channel import Browser, Letter, Sent, To
from services.job import Job, Later
from services.stores import Stores
from services.wording import Story, render
from storage import notifications as rows
from storage import people, personal, push_subscriptions
from storage.db import Tx
from storage.journal import record_all
from storage.notifications import Attempt, Tried
from storage.people import Person

log = structlog.get_logger(__name__)

SEND_WITHIN_S = 20.0  # more than any channel takes
LEASE_S = 30.0
ALMOST = timedelta(minutes=1)
LONGEST_WISH_S = 300.0  # a gateway may ask for a pause, but not put off everything else
AT_ONCE = 6  # in all processes together, so that slow mail never takes the workers from payments
PUSH_TRIES = 6  # the address is a person's choice: one that never answers shall not look like a fault of ours
NEVER = Tried(0, settled=False)
LINKS = {"customer": "/book", "technician": "/technician"}


def job(notification_id: UUID, due_at: datetime) -> JobWanted:
    """Return the job that sends a notification."""
    return JobWanted("notify", {"notification_id": str(notification_id)}, due_at)


def skipped(notification_id: UUID, why: str, now: datetime) -> Attempt:
    """Return the record of a notification that went nowhere."""
    return Attempt(notification_id, "none", "skipped", why, now)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a letter still has to go. `last`: this channel is not tried again for it."""

    channel: str
    to: To
    last: bool


@dataclass(frozen=True, slots=True)
class _Errand:
    letter: Letter
    ways: Sequence[_Way]


async def notify(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """Send one notification on every channel that has not settled. Raises Later when one is to be tried again."""
    wanted = UUID(payload["notification_id"])
    async with stores.db.transaction() as tx:
        errand = await _take(stores, tx, wanted, context)
    if errand is None:
        return
    results = await asyncio.gather(*(_send(stores, errand.letter, way, context.now) for way in errand.ways))
    async with stores.db.transaction() as tx:
        await rows.attempted(tx, [attempt for attempt, _ in results])
        again = [attempt for attempt, _ in results if not attempt.final]
        await rows.end_lease(tx, wanted, None if again else datetime.now(UTC))
        gone = [attempt.target_id for attempt, sent in results if sent.gone and attempt.target_id is not None]
        if gone:
            await push_subscriptions.remove(tx, gone)
    if again:
        wishes = [sent.after_s for attempt, sent in results if not attempt.final and sent.after_s is not None]
        said = ", ".join(sorted({f"{attempt.channel}: {attempt.code}" for attempt in again}))
        raise Later(said, min(max(wishes), LONGEST_WISH_S) if wishes else None)


async def give_up(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """Record that nobody could send it; it is not finished, so that the job may run again while it is of use."""
    wanted = UUID(payload["notification_id"])
    async with stores.db.transaction() as tx:
        found = await rows.lock(tx, wanted)
        if found is not None and found["finished_at"] is None:
            await rows.attempted(tx, [skipped(wanted, "gave_up", context.now)])


JOB = Job(notify, give_up, AT_ONCE)


async def _take(stores: Stores, tx: Tx, wanted: UUID, context: Context) -> _Errand | None:
    """Decide under the row's lock what is to be done now; takes the lease where something is to be sent."""
    now = context.now
    found = await rows.lock(tx, wanted)
    if found is None or found["finished_at"] is not None:
        return None
    if found["sending_until"] is not None and found["sending_until"] > now:
        raise Later("somebody sends it just now", (found["sending_until"] - now).total_seconds() + 0.5)
    person = await people.get(tx, found["person_id"])
    story = await rows.story(tx, wanted)
    why_not = _why_not(found, person, story, now)
    if person is None or why_not is not None:
        await _finish(tx, wanted, why_not, now)
        return None
    settings = await rows.settings(tx, person.person_id)
    if await _held_back(tx, found, settings, story["time_zone"], context):
        return None
    reach = await _reach(stores, tx, person, now)
    tried = await rows.tried(tx, wanted)
    chosen = notifying.choose(found["template"], settings.channels, reach)
    ways = [
        _Way(channel, to, last=channel == WEB_PUSH and before.tries + 1 >= PUSH_TRIES)
        for channel in chosen
        for to in reach[channel]
        if not (before := tried.get((channel, to.target_id), NEVER)).settled
    ]
    if not ways:
        await _finish(tx, wanted, None if tried else "no_channel", now)
        return None
    await rows.lease(tx, wanted, now + timedelta(seconds=LEASE_S))
    title, body = render(settings.language, found["template"], await opened(tx, story, person.person_id))
    letter = Letter(
        wanted, found["template"], settings.language, title, body, found["at_once"], found["useful_until"],
        LINKS[found["template"].partition("_")[0]],
    )  # fmt: skip
    return _Errand(letter, ways)


def _why_not(
    found: Mapping[str, Any], person: Person | None, story: Mapping[str, Any], now: datetime
) -> str | None:
    """Return why it is not to be sent any more, or None."""
    if person is None:
        return "erased"
    if now >= found["useful_until"]:
        return "stale"
    so = notifying.still_true(found["template"], _standing(story), found["technician_id"], story["data"])
    return None if so else "superseded"


async def _reach(stores: Stores, tx: Tx, person: Person, now: datetime) -> dict[str, list[To]]:
    """Return by which of the channels that are on this person is reached, and where."""
    reach: dict[str, list[To]] = {
        LOG: [To()],
        EMAIL: [To(email=person.email)],
        SMS: [To(phone=person.phone)] if person.phone else [],
    }
    if WEB_PUSH in stores.channels.by_name:
        browsers = await push_subscriptions.of_person(tx, person.person_id, now)
        reach[WEB_PUSH] = [To(browser=Browser(i, s.endpoint, s.p256dh, s.auth)) for i, s in browsers.items()]
    return {channel: ways for channel, ways in reach.items() if ways and channel in stores.channels.by_name}


async def _finish(tx: Tx, wanted: UUID, why: str | None, now: datetime) -> None:
    """Finish it unsent, and say why."""
    if why is not None:
        await rows.attempted(tx, [skipped(wanted, why, now)])
    await rows.end_lease(tx, wanted, now)


async def _held_back(
    tx: Tx, found: Mapping[str, Any], settings: rows.Settings, area_zone: str, context: Context
) -> bool:
    """Put off what is not due yet, or what can wait and came in the quiet hours: a job of its own will send it."""
    until = found["due_at"] if found["due_at"] > context.now else None
    if until is None and not found["at_once"]:
        until = notifying.quiet_until(context.now, settings.quiet, settings.zone(area_zone))
    if until is None:
        return False
    if (
        until - context.now < ALMOST
    ):  # perhaps this is the very job that was put off until then, and clocks differ
        raise Later("it is not due yet", (until - context.now).total_seconds() + 0.1)
    if until > found["not_before"]:
        await rows.hold_back(tx, found["notification_id"], until)
        await record_all(tx, [([job(found["notification_id"], until)], context)])
    return True


async def _send(stores: Stores, letter: Letter, way: _Way, now: datetime) -> tuple[Attempt, Sent]:
    began = time.monotonic()
    channel = way.channel
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            sent = await stores.channels.by_name[channel].send(letter, way.to, now)
    except TimeoutError:
        sent = Sent("timeout", again=True)
    except Exception as error:  # a channel's mistake must not keep the others from being recorded
        log.exception("channel_failed", channel=channel, notification_id=str(letter.notification_id))
        sent = Sent(type(error).__name__, again=True)
    attempt = Attempt(
        letter.notification_id, channel, "sent" if sent.ok else "failed", sent.code, datetime.now(UTC),
        final=sent.ok or not sent.again or way.last, target_id=way.to.target_id,
        ms=round((time.monotonic() - began) * 1000),
    )  # fmt: skip
    if not sent.ok:
        log.warning("notification_failed", channel=channel, notification_id=str(letter.notification_id),
                    template=letter.template, code=sent.code, final=attempt.final)  # fmt: skip
    return attempt, sent


def _standing(story: Mapping[str, Any]) -> Standing:
    return Standing(State(story["state"]), story["present_technician_id"], story["gps_session_id"],
                    story["expected_end_at"], story["payment_status"])  # fmt: skip


async def opened(tx: Tx, story: Mapping[str, Any], person_id: UUID) -> Story:
    """Return what a notification speaks about; a note is opened for who still is one of the booking's people."""
    data = story["data"]
    note = None
    if story["note"] is not None and person_id in (story["customer_id"], story["present_technician_id"]):
        note = personal.unseal(await personal.key_of(tx, story["note_author_id"]), story["note"])
    amount = data.get("fee_amount", data.get("amount"))
    return Story(
        service=story["service_name"],
        area=story["area_name"],
        number=story["number"],
        time_zone=story["time_zone"],
        starts_at=story["starts_at"],
        technician=(story["technician_name"] or "").partition(" ")[0] or None,
        until=_instant(data.get("expected_end_at")),
        answer_by=_instant(data.get("deadline_at")),
        total=Money(story["total_amount"], story["currency"]),
        amount=None if amount is None else Money(amount, story["currency"]),
        note=note if isinstance(note, str) else None,
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
