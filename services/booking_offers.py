"""Who is asked: declining, expiring, giving back, cancelling and reassigning, and the fallback to the next card.

With `fallback: next_card` the next card of the same match is asked, whose technician must be qualified and free now;
the price stays as quoted and nobody is asked twice. When nobody is left, what is held of the payment is let go.
"""

from uuid import UUID

from domain import booking_rules as rules
from domain import cancellation, commands
from domain.alerts import Kind, about
from domain.booking import Booking
from domain.booking_rules import Facts
from domain.context import Context, Role
from domain.facts import Decided
from domain.payments import Purpose
from domain.refusals import Refusal
from services.booking_command import run, taken_time
from services.booking_steps import after, answer_by, collect, gate, sealed
from services.booking_timers import timed
from services.policy import Policy
from services.reply import Answer
from services.stores import Stores
from storage import cancellation_policies as policies
from storage import matches, reservations
from storage.db import Tx


async def decline(stores: Stores, booking_id: UUID, command: commands.Decline, context: Context) -> Answer:
    """Decline the visit; the next card is asked if the customer wanted that, else the booking ends."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        following = await _next_offer(tx, stores.policy, booking, context)
        words = await sealed(tx, context, command.reason)
        facts = rules.decline(booking, context.actor, context.now, sealed=words, final=following is None,
                              reason_code=command.reason_code)  # fmt: skip
        return await _then(tx, stores.policy, facts, following, "declined", context)

    return await run(stores, booking_id, context, rule)


async def expired(stores: Stores, tx: Tx, booking: Booking, context: Context) -> Facts | Refusal:
    """Expire an unanswered request: the next card is asked if the customer wanted that, else the booking ends.

    A request that ends so has lost a customer: it stays among the alerts until somebody has looked at it.
    """
    following = await _next_offer(tx, stores.policy, booking, context)
    facts = rules.expire(booking, context.now, final=following is None)
    asked = await _then(tx, stores.policy, facts, following, "expired", context)
    if isinstance(asked, Refusal) or following is not None:
        return asked
    return (*asked, about(booking, Kind.UNANSWERED, cause="expired"))


async def cancel(stores: Stores, booking_id: UUID, command: commands.Cancel, context: Context) -> Answer:
    """Cancel with the fee that the policy names; a technician's cancellation releases the booking instead."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        fee = cancellation.fee(booking, context.now, await policies.of_booking(tx, booking_id))
        deadline_at = answer_by(stores.policy, context.now)
        facts = rules.cancel(
            booking, command, context.actor, context.now, sealed=await sealed(tx, context, command.reason),
            fee_amount=fee.amount, policy=fee.policy, deadline_at=deadline_at,
        )  # fmt: skip
        if isinstance(facts, Refusal):
            return facts
        if context.actor.role != Role.TECHNICIAN:
            return (*facts, *await collect(tx, booking, fee.amount, Purpose.CANCELLATION_FEE))
        following = await _next_offer(tx, stores.policy, booking, context)
        asked = await _then(tx, stores.policy, facts, following, "released", context, release=False)
        if isinstance(asked, Refusal) or following is not None:
            return asked
        return (*asked, about(after(asked), Kind.UNANSWERED, cause="released", deadline_at=deadline_at))

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
        passed = await gate(tx, booking, command.technician_id, context)
        if isinstance(passed, Refusal):
            return passed
        await reservations.release_stale_holds(tx, command.technician_id, context.now)
        data = {"from": str(booking.technician_id), "to": str(command.technician_id)}
        return (
            *timed(stores.policy, facts),
            taken_time(booking, command.technician_id, stores.policy.travel_buffer_s),
            Decided("booking.reassigned", "booking", str(booking_id), command.reason, data),
        )

    return await run(stores, booking_id, context, rule, also_lock=command.technician_id)


async def _next_offer(tx: Tx, policy: Policy, booking: Booking, context: Context) -> matches.MatchCard | None:
    """Find the next card whose technician is qualified and free, if the customer asked for that."""
    if booking.fallback != "next_card" or context.now >= booking.ends_at:
        return None
    excluding = list(booking.offered)
    current = await matches.card_of(tx, booking.match_id, booking.card_id)
    position = 0 if current is None else current.position
    while (card := await matches.next_card(tx, booking.match_id, position, excluding)) is not None:
        position = card.position
        await reservations.lock_technician(tx, card.technician_id)
        await reservations.release_stale_holds(tx, card.technician_id, context.now)
        wanted = taken_time(booking, card.technician_id, policy.travel_buffer_s)
        free = await reservations.is_free(
            tx, card.technician_id, wanted.start, wanted.end, ignoring=booking.booking_id
        )
        if free and not isinstance(await gate(tx, booking, card.technician_id, context), Refusal):
            return card
    return None


async def _then(
    tx: Tx, policy: Policy, facts: Facts | Refusal, following: matches.MatchCard | None, cause: str, context: Context,
    *, release: bool = True,
) -> Facts | Refusal:  # fmt: skip
    """Ask the following card's technician, or let the hold on the payment go when nobody is left."""
    if isinstance(facts, Refusal):
        return facts
    booking = after(facts)
    if following is None:
        return (*facts, *(await collect(tx, booking, 0, Purpose.VISIT) if release else ()))
    asked = rules.reassign(
        booking, following.technician_id, context.now, cause=cause, role=Role.SYSTEM,
        deadline_at=answer_by(policy, context.now), card_id=following.card_id,
    )  # fmt: skip
    if isinstance(asked, Refusal):
        return asked
    return (
        *facts,
        *timed(policy, asked),
        taken_time(after(asked), following.technician_id, policy.travel_buffer_s),
    )
