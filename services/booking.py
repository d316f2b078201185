"""Every command on a booking, one function each. Buttons, deadlines and the arrival detector call the same ones.

Each answers the booking as its caller may see it, or a refusal. Money is only ever intended here: a job makes the call.
"""

from datetime import datetime, timedelta
from uuid import UUID

from domain import booking_rules as rules
from domain import cancellation, commands, payments
from domain.booking import Booking, BookingEvent
from domain.booking_rules import Facts
from domain.context import Context, Role
from domain.facts import Decided
from domain.gate import Stopped
from domain.payments import Kind, Purpose
from domain.refusals import Refusal
from services.booking_command import run, slot_taken, taken_time
from services.policy import Policy
from services.qualification import qualify
from services.reply import Answer
from services.stores import Stores
from storage import bookings, matches, personal
from storage import payments as payment_rows
from storage.db import Tx
from storage.ids import new_id


async def accept(stores: Stores, booking_id: UUID, command: commands.Accept, context: Context) -> Answer:  # noqa: ARG001
    """Accept the visit; the licence gate is asked first, and what it relied on is kept with the event."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        refusal = rules.permitted(booking, "accept", context.actor.role)
        if isinstance(refusal, Refusal):
            return refusal
        passed = await _gate(tx, booking, booking.technician_id, context)
        return (
            passed
            if isinstance(passed, Refusal)
            else rules.accept(booking, context.actor, context.now, passed)
        )

    return await run(stores, booking_id, context, rule)


async def decline(stores: Stores, booking_id: UUID, command: commands.Decline, context: Context) -> Answer:
    """Decline the visit; the next card is asked if the customer wanted that, else the booking ends."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        following = await _next_offer(tx, stores.policy, booking, context)
        facts = rules.decline(booking, command, context.actor, context.now, final=following is None)
        return await _then(tx, stores.policy, facts, following, "declined", context)

    return await run(stores, booking_id, context, rule)


async def expire(stores: Stores, booking_id: UUID, context: Context) -> Answer:
    """Expire an unanswered request: the next card is asked if the customer wanted that, else the booking ends."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        following = await _next_offer(tx, stores.policy, booking, context)
        facts = rules.expire(booking, context.now, final=following is None)
        return await _then(tx, stores.policy, facts, following, "expired", context)

    return await run(stores, booking_id, context, rule)


async def depart(stores: Stores, booking_id: UUID, command: commands.Depart, context: Context) -> Answer:  # noqa: ARG001
    """Set off; opens the GPS session."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.depart(
            booking,
            context.actor,
            context.now,
            session_id=new_id(),
            opens_before_s=stores.policy.depart_before_s,
        )
        if isinstance(facts, Refusal):
            return facts
        passed = await _gate(tx, booking, booking.technician_id, context)
        return passed if isinstance(passed, Refusal) else facts

    return await run(stores, booking_id, context, rule)


async def came_near(stores: Stores, booking_id: UUID, session_id: UUID, by: str, context: Context) -> Answer:
    """Record that the technician is close, once a leg."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:  # noqa: ARG001
        return rules.came_near(booking, context.now, session_id=session_id, by=by)

    return await run(stores, booking_id, context, rule)


async def arrive(stores: Stores, booking_id: UUID, command: commands.Arrive, context: Context) -> Answer:
    """Arrive, by button or detector; closes the GPS session to its watchers."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:  # noqa: ARG001
        return rules.arrive(booking, command, context.actor, context.now)

    return await run(stores, booking_id, context, rule)


async def start(stores: Stores, booking_id: UUID, command: commands.Start, context: Context) -> Answer:  # noqa: ARG001
    """Start the service."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.start(booking, context.actor, context.now)
        if isinstance(facts, Refusal):
            return facts
        passed = await _gate(tx, booking, booking.technician_id, context)
        return passed if isinstance(passed, Refusal) else facts

    return await run(stores, booking_id, context, rule)


async def note(stores: Stores, booking_id: UUID, command: commands.Note, context: Context) -> Answer:
    """Write a note; its text is sealed under its author's key."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        sealed = await _sealed(tx, context, command.text)
        return rules.note(booking, command, context.actor, context.now, sealed)

    return await run(stores, booking_id, context, rule)


async def extend(stores: Stores, booking_id: UUID, command: commands.Extend, context: Context) -> Answer:
    """Take longer, unless the technician's next visit stands in the way (`slot_taken`)."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:  # noqa: ARG001
        facts = rules.extend(booking, command, context.actor, context.now)
        if isinstance(facts, Refusal) or booking.technician_id is None:
            return facts
        return (*facts, taken_time(_after(facts), booking.technician_id, stores.policy.travel_buffer_s))

    return await run(stores, booking_id, context, rule)


async def complete(stores: Stores, booking_id: UUID, command: commands.Complete, context: Context) -> Answer:  # noqa: ARG001
    """Complete the service; the intent to capture is committed with it, the capture follows as its own event."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.complete(booking, context.actor, context.now)
        if isinstance(facts, Refusal):
            return facts
        return (*facts, *await _collect(tx, booking, booking.price.total, Purpose.VISIT))

    return await run(stores, booking_id, context, rule)


async def cancel(stores: Stores, booking_id: UUID, command: commands.Cancel, context: Context) -> Answer:
    """Cancel with the fee that the policy names; a technician's cancellation releases the booking instead."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        fee = cancellation.fee(booking, context.now, stores.policy)
        deadline_at = answer_by(stores.policy, context.now)
        facts = rules.cancel(
            booking, command, context.actor, context.now, fee_amount=fee.amount, policy=fee.policy,
            deadline_at=deadline_at,
        )  # fmt: skip
        if isinstance(facts, Refusal):
            return facts
        if context.actor.role != Role.TECHNICIAN:
            return (*facts, *await _collect(tx, booking, fee.amount, Purpose.CANCELLATION_FEE))
        following = await _next_offer(tx, stores.policy, booking, context)
        return await _then(tx, stores.policy, facts, following, "released", context, release=False)

    return await run(stores, booking_id, context, rule)


async def no_show(stores: Stores, booking_id: UUID, command: commands.NoShow, context: Context) -> Answer:
    """Give up after the waiting time, with the fee that the policy names."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        fee = cancellation.no_show_fee(booking, stores.policy)
        facts = rules.no_show(
            booking, context.actor, context.now, wait_s=stores.policy.no_show_wait_s, fee_amount=fee.amount,
            policy=fee.policy,
        )  # fmt: skip
        if isinstance(facts, Refusal):
            return facts
        decided = Decided("booking.no_show", "booking", str(booking_id), command.reason)
        return (*facts, decided, *await _collect(tx, booking, fee.amount, Purpose.NO_SHOW_FEE))

    return await run(stores, booking_id, context, rule)


async def reassign(stores: Stores, booking_id: UUID, command: commands.Reassign, context: Context) -> Answer:
    """Ask another technician, who must be qualified and free; the quoted total stays."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.reassign(
            booking, command.technician_id, context.now, cause="dispatcher",
            deadline_at=answer_by(stores.policy, context.now), role=context.actor.role,
        )  # fmt: skip
        if isinstance(facts, Refusal):
            return facts
        passed = await _gate(tx, booking, command.technician_id, context)
        if isinstance(passed, Refusal):
            return passed
        await bookings.release_stale_holds(tx, command.technician_id, context.now)
        data = {"from": str(booking.technician_id), "to": str(command.technician_id)}
        return (
            *facts,
            taken_time(booking, command.technician_id, stores.policy.travel_buffer_s),
            Decided("booking.reassigned", "booking", str(booking_id), command.reason, data),
        )

    return await run(stores, booking_id, context, rule, also_lock=command.technician_id)


async def rate(stores: Stores, booking_id: UUID, command: commands.Rate, context: Context) -> Answer:
    """Rate a completed visit, once; a tip is charged to the method that paid it."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        sealed = None if command.comment is None else await _sealed(tx, context, command.comment)
        facts = rules.rate(booking, command, context.now, sealed)
        if isinstance(facts, Refusal) or command.tip_amount == 0:
            return facts
        held = await payment_rows.held(tx, booking_id)
        return facts if held is None else (*facts, *payments.tip(held, new_id(), command.tip_amount))

    return await run(stores, booking_id, context, rule)


async def override(stores: Stores, booking_id: UUID, command: commands.Override, context: Context) -> Answer:
    """Set the state by hand, audited; money follows the state that was set."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.override(booking, command, context.actor, context.now)
        if isinstance(facts, Refusal):
            return facts
        if command.state == "completed":
            return (*facts, *await _collect(tx, booking, booking.price.total, Purpose.VISIT))
        if command.state in ("cancelled", "no_show"):
            return (*facts, *await _collect(tx, booking, 0, Purpose.CANCELLATION_FEE))
        return facts

    return await run(stores, booking_id, context, rule)


def answer_by(policy: Policy, now: datetime) -> datetime:
    """Return until when a technician may answer."""
    return now + timedelta(seconds=policy.answer_within_s)


def not_qualified(stopped: Stopped) -> Refusal:
    """Return the refusal of the licence gate, saying what is missing."""
    return Refusal("not_qualified", f"The gate '{stopped.gate}' stops this technician.",
                   extra={"gate": stopped.gate, "missing": list(stopped.missing)})  # fmt: skip


async def _gate(
    tx: Tx, booking: Booking, technician_id: UUID | None, context: Context
) -> dict[str, object] | Refusal:
    if technician_id is None:
        return Refusal("booking_state", "No technician is asked at the moment.")
    passed = await qualify(
        tx, technician_id, service=booking.service, jurisdiction=booking.jurisdiction, starts_at=booking.starts_at,
        ends_at=max(booking.ends_at, context.now + (booking.ends_at - booking.starts_at)), now=context.now,
    )  # fmt: skip
    return not_qualified(passed) if isinstance(passed, Stopped) else passed.evidence


async def _sealed(tx: Tx, context: Context, text: str) -> bytes:
    if context.actor.person_id is None:
        raise ValueError("only people write notes")
    key = await personal.key_of(tx, context.actor.person_id)
    if key is None:
        raise ValueError("an erased person writes nothing")
    return personal.seal(key, text)


async def _collect(tx: Tx, booking: Booking, amount: int, purpose: Purpose) -> Facts:
    """Take `amount` from what is held, or let the hold go when there is nothing to take."""
    held = await payment_rows.held(tx, booking.booking_id)
    if held is None:
        return ()
    if amount > 0:
        return tuple(payments.collect(held, new_id(), min(amount, held.amount), purpose))
    return tuple(payments.release(held, new_id())) if held.kind == Kind.AUTHORIZE else ()


async def _next_offer(tx: Tx, policy: Policy, booking: Booking, context: Context) -> matches.MatchCard | None:
    """Find the next card whose technician is qualified and free, if the customer asked for that."""
    if booking.fallback != "next_card" or context.now >= booking.ends_at:
        return None
    excluding = list(booking.offered)
    current = await matches.card_of(tx, booking.match_id, booking.card_id)
    position = 0 if current is None else current.position
    while (card := await matches.next_card(tx, booking.match_id, position, excluding)) is not None:
        position = card.position
        await bookings.lock_technician(tx, card.technician_id)
        await bookings.release_stale_holds(tx, card.technician_id, context.now)
        wanted = taken_time(booking, card.technician_id, policy.travel_buffer_s)
        free = await bookings.is_free(
            tx, card.technician_id, wanted.start, wanted.end, ignoring=booking.booking_id
        )
        if free and not isinstance(await _gate(tx, booking, card.technician_id, context), Refusal):
            return card
    return None


async def _then(
    tx: Tx, policy: Policy, facts: Facts | Refusal, following: matches.MatchCard | None, cause: str, context: Context,
    *, release: bool = True,
) -> Facts | Refusal:  # fmt: skip
    """Ask the following card's technician, or let the hold on the payment go when nobody is left."""
    if isinstance(facts, Refusal):
        return facts
    booking = _after(facts)
    if following is None:
        return (*facts, *(await _collect(tx, booking, 0, Purpose.VISIT) if release else ()))
    asked = rules.reassign(
        booking, following.technician_id, context.now, cause=cause, role=Role.SYSTEM,
        deadline_at=answer_by(policy, context.now), card_id=following.card_id,
    )  # fmt: skip
    if isinstance(asked, Refusal):
        return asked
    return (*facts, *asked, taken_time(_after(asked), following.technician_id, policy.travel_buffer_s))


def _after(facts: Facts) -> Booking:
    for fact in reversed(facts):
        if isinstance(fact, BookingEvent):
            return fact.booking
    raise ValueError("no booking event among the facts")


__all__ = [
    "accept", "answer_by", "arrive", "came_near", "cancel", "complete", "decline", "depart", "expire", "extend",
    "no_show", "not_qualified", "note", "override", "rate", "reassign", "slot_taken", "start",
]  # fmt: skip
