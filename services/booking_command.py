"""The skeleton of every command on a booking: see, claim, decide, lock, record, answer.

A rule that needs no more than what is read with the booking is decided at once (`decide`): one statement reads, the
rule thinks without a lock, one statement locks and writes, unless the booking changed in between. Then, and for a rule
that asks the database further (`run`), the locks are taken with the read, in one transaction. Locks are taken in one
order everywhere: technicians by id, then the booking. What still collides (a deadlock with a fallback's technician, a
lost update, an Idempotency-Key) is tried again a bounded number of times; a double booking is `slot_taken`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from domain.booking import Booking, BookingEvent
from domain.booking_rules import Facts
from domain.context import Context
from domain.refusals import Refusal
from services import idempotency
from services.booking_view import around_one, may_read, not_found, surroundings, view_for
from services.reply import Answer, Reply
from services.stores import Stores
from storage import booking_commands, journal, reservations
from storage.booking_commands import Opened
from storage.db import Tx

type Rule = Callable[[Tx, Booking], Awaitable[Facts | Refusal]]
type Decision = Callable[[Opened], Facts | Refusal]

TRIES = 4
COLLISIONS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)


class ChangedInBetweenError(Exception):
    """The booking got another technician between looking and locking."""


@dataclass(frozen=True, slots=True)
class _Command:
    """What one command asks: of which booking, who, by which rule, and what must be read for it."""

    booking_id: UUID
    context: Context
    rule: Rule | None = None
    decision: Decision | None = None
    also_lock: UUID | None = None
    grounds: bool = False
    held: bool = False


async def run(
    stores: Stores, booking_id: UUID, context: Context, rule: Rule, *, also_lock: UUID | None = None
) -> Answer:
    """Apply a rule that asks further to one booking, all locks held; answers the booking, or the refusal.

    Nothing is written for a refusal, but what its Idempotency-Key keeps.
    """
    return await _tried(stores, _Command(booking_id, context, rule=rule, also_lock=also_lock))


async def decide(
    stores: Stores, booking_id: UUID, context: Context, decision: Decision, *, grounds: bool = False, held: bool = False
) -> Answer:  # fmt: skip
    """Apply a rule that needs only what was read with its booking: with `grounds` the gate's, with `held` the hold."""
    command = _Command(booking_id, context, decision=decision, grounds=grounds, held=held)
    try:
        async with stores.db.reading() as tx:
            answer = await _at_once(tx, command, decision)
    except asyncpg.ExclusionViolationError:
        return await keep_refusal(stores, slot_taken(), context)
    except COLLISIONS:
        answer = None
    return answer or await _tried(stores, command)


async def _at_once(tx: Tx, command: _Command, decision: Decision) -> Answer | None:
    """Read, think, write: two statements and no lock between them. None when the booking changed in between."""
    context = command.context
    opened = await booking_commands.read(
        tx, command.booking_id, context, grounds=command.grounds, held=command.held
    )
    known = _known(opened, context)
    if opened is None or known is not None:
        return known
    facts = _decided(opened, context, decision)
    answer = facts if isinstance(facts, Refusal) else _answer(opened, facts, context)
    written = [] if isinstance(facts, Refusal) else [*facts]
    written += idempotency.replied(answer, context, opened.actor_key, command.booking_id)
    if rows := journal.document(written, context):
        version = opened.grounds["technician"]["version"] if opened.grounds else None
        if not await booking_commands.write(tx, opened.booking, version, rows):
            return None
    return answer


async def _tried(stores: Stores, command: _Command) -> Answer:
    for attempt in range(1, TRIES + 1):
        try:
            async with stores.db.transaction() as tx:
                return await _locked(tx, command)
        except asyncpg.ExclusionViolationError:
            return await keep_refusal(stores, slot_taken(), command.context)
        except (*COLLISIONS, ChangedInBetweenError):
            if attempt == TRIES:
                raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - jitter
    raise AssertionError("unreachable")


async def _locked(tx: Tx, command: _Command) -> Answer:
    context = command.context
    opened = await booking_commands.read(
        tx, command.booking_id, context, locking=True, also=command.also_lock, grounds=command.grounds,
        held=command.held,
    )  # fmt: skip
    if opened is not None and opened.moved:
        raise ChangedInBetweenError
    known = _known(opened, context)
    if opened is None or known is not None:
        return known or not_found()
    if command.decision is not None:
        facts = _decided(opened, context, command.decision)
    elif command.rule is not None:
        facts = _stale(opened.booking, context) or await command.rule(tx, opened.booking)
    else:
        raise TypeError("a command has a rule")
    if isinstance(facts, Refusal):
        await journal.record(tx, idempotency.replied(facts, context, opened.actor_key), context)
        return facts
    after = _after(opened.booking, facts)
    if after.technician_id in (None, opened.booking.technician_id):
        reply = _answer(opened, facts, context)
    else:
        around = await surroundings(tx, [after])
        reply = Reply(200, view_for(after, around, context.actor), version=after.version)
    kept = idempotency.replied(reply, context, opened.actor_key, command.booking_id)
    await journal.record(tx, [*facts, *kept], context)
    return reply


def _known(opened: Opened | None, context: Context) -> Answer | None:
    """Return the answer that needs no rule: there is no such booking, or this request was answered before."""
    if opened is None:
        return not_found()
    if not may_read(opened.booking, context.actor):
        return idempotency.again(opened.key, opened.actor_key, context) or not_found()
    return idempotency.known(opened.key, opened.actor_key, context)


def _decided(opened: Opened, context: Context, decision: Decision) -> Facts | Refusal:
    return _stale(opened.booking, context) or decision(opened)


def _stale(booking: Booking, context: Context) -> Refusal | None:
    if context.if_match is None or context.if_match == booking.version:
        return None
    return Refusal("version_conflict", f"The booking is at version {booking.version} now.")


def _after(booking: Booking, facts: Facts) -> Booking:
    return next((f.booking for f in reversed(facts) if isinstance(f, BookingEvent)), booking)


def _answer(opened: Opened, facts: Facts, context: Context) -> Reply:
    """Show the booking as the facts left it; its technician is the one who was read, or none."""
    after = _after(opened.booking, facts)
    around = around_one(opened.booking, opened)
    return Reply(200, view_for(after, around, context.actor), version=after.version)


async def keep_refusal(stores: Stores, refusal: Refusal, context: Context) -> Answer:
    """Keep a refusal that was found by a failed transaction, in a transaction of its own."""
    async with stores.db.transaction() as tx:
        held = await idempotency.begin(tx, context)
        if isinstance(held, Reply | Refusal):
            return held
        return await idempotency.refuse(tx, refusal, context)


def slot_taken() -> Refusal:
    """Return the refusal of a time that somebody else has."""
    return Refusal("slot_taken", "The technician is not free at that time any more.")


def taken_time(booking: Booking, technician_id: UUID, buffer_s: int) -> reservations.Held:
    """Return the fact that a technician's time is taken for this booking, travel buffers included.

    A visit that began early may end before its hour: what was booked stays taken.
    """
    buffer = timedelta(seconds=buffer_s)
    end = max(booking.expected_end_at or booking.ends_at, booking.ends_at)
    return reservations.Held(booking.booking_id, technician_id, booking.starts_at - buffer, end + buffer)
