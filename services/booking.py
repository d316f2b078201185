"""Every command on a booking, one function each; buttons and the arrival detector call the same ones.

What a deadline causes (`overran`, `waited`) is a rule for `services/deadlines.py`. Each command answers the booking as
its caller may see it, or a refusal. Money is only ever intended here: a job makes the call.
"""

from uuid import UUID

from domain import booking_rules as rules
from domain import cancellation, commands, payments
from domain.alerts import Kind, about
from domain.booking import Booking
from domain.booking_rules import Facts
from domain.context import Context
from domain.facts import Decided
from domain.payments import Purpose
from domain.refusals import Refusal
from services.booking_command import decide, run, taken_time
from services.booking_steps import after, collect, judged, sealed, sealed_under, taken
from services.booking_timers import timed
from services.reply import Answer
from services.stores import Stores
from storage import cancellation_policies as policies
from storage import payments as payment_rows
from storage.booking_commands import Opened
from storage.db import Tx
from storage.ids import new_id


async def accept(stores: Stores, booking_id: UUID, command: commands.Accept, context: Context) -> Answer:  # noqa: ARG001 - one shape for all commands
    """Accept the visit; the licence gate is asked first, and what it relied on is kept with the event."""

    def decision(seen: Opened) -> Facts | Refusal:
        refusal = rules.permitted(seen.booking, "accept", context.actor.role)
        if isinstance(refusal, Refusal):
            return refusal
        passed = judged(seen.booking, seen.grounds, context)
        if isinstance(passed, Refusal):
            return passed
        return timed(stores.policy, rules.accept(seen.booking, context.actor, context.now, passed))

    return await decide(stores, booking_id, context, decision, grounds=True)


async def depart(stores: Stores, booking_id: UUID, command: commands.Depart, context: Context) -> Answer:  # noqa: ARG001 - one shape for all commands
    """Set off; opens the GPS session."""

    def decision(seen: Opened) -> Facts | Refusal:
        facts = rules.depart(
            seen.booking,
            context.actor,
            context.now,
            session_id=new_id(),
            opens_before_s=stores.policy.depart_before_s,
        )
        if isinstance(facts, Refusal):
            return facts
        passed = judged(seen.booking, seen.grounds, context)
        return passed if isinstance(passed, Refusal) else timed(stores.policy, facts)

    return await decide(stores, booking_id, context, decision, grounds=True)


async def came_near(stores: Stores, booking_id: UUID, session_id: UUID, by: str, context: Context) -> Answer:
    """Record that the technician is close, once a leg."""

    def decision(seen: Opened) -> Facts | Refusal:
        return rules.came_near(seen.booking, context.now, session_id=session_id, by=by)

    return await decide(stores, booking_id, context, decision)


async def arrive(stores: Stores, booking_id: UUID, command: commands.Arrive, context: Context) -> Answer:
    """Arrive, by button or detector; closes the GPS session to its watchers."""

    def decision(seen: Opened) -> Facts | Refusal:
        return rules.arrive(
            seen.booking, command, context.actor, context.now, wait_s=stores.policy.no_show_wait_s
        )

    return await decide(stores, booking_id, context, decision)


async def start(stores: Stores, booking_id: UUID, command: commands.Start, context: Context) -> Answer:  # noqa: ARG001 - one shape for all commands
    """Start the service."""

    def decision(seen: Opened) -> Facts | Refusal:
        facts = rules.start(seen.booking, context.actor, context.now)
        if isinstance(facts, Refusal):
            return facts
        passed = judged(seen.booking, seen.grounds, context)
        return passed if isinstance(passed, Refusal) else facts

    return await decide(stores, booking_id, context, decision, grounds=True)


async def note(stores: Stores, booking_id: UUID, command: commands.Note, context: Context) -> Answer:
    """Write a note to the others of this visit; its text is sealed under its author's key."""

    def decision(seen: Opened) -> Facts | Refusal:
        text = sealed_under(seen.actor_key, command.text)
        return rules.note(seen.booking, command, context.actor, context.now, text)

    return await decide(stores, booking_id, context, decision)


async def extend(stores: Stores, booking_id: UUID, command: commands.Extend, context: Context) -> Answer:
    """Take longer, unless the technician's next visit stands in the way (`slot_taken`)."""

    def decision(seen: Opened) -> Facts | Refusal:
        facts = rules.extend(seen.booking, command, context.actor, context.now)
        technician_id = seen.booking.technician_id
        if isinstance(facts, Refusal) or technician_id is None:
            return facts
        return (*facts, taken_time(after(facts), technician_id, stores.policy.travel_buffer_s))

    return await decide(stores, booking_id, context, decision)


async def complete(stores: Stores, booking_id: UUID, command: commands.Complete, context: Context) -> Answer:  # noqa: ARG001 - one shape for all commands
    """Complete the service; the intent to capture is committed with it, the capture follows as its own event."""

    def decision(seen: Opened) -> Facts | Refusal:
        facts = rules.complete(seen.booking, context.actor, context.now)
        if isinstance(facts, Refusal):
            return facts
        return (*facts, *taken(seen.held, seen.booking.price.total, Purpose.VISIT))

    return await decide(stores, booking_id, context, decision, held=True)


async def no_show(stores: Stores, booking_id: UUID, command: commands.NoShow, context: Context) -> Answer:
    """Give up after the waiting time, with the fee that the policy names."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        fee = cancellation.no_show_fee(booking, await policies.of_booking(tx, booking_id))
        facts = rules.no_show(
            booking, context.actor, context.now, wait_s=stores.policy.no_show_wait_s, fee_amount=fee.amount,
            policy=fee.policy,
        )  # fmt: skip
        if isinstance(facts, Refusal):
            return facts
        decided = Decided("booking.no_show", "booking", str(booking_id), command.reason)
        return (*facts, decided, *await collect(tx, booking, fee.amount, Purpose.NO_SHOW_FEE))

    return await run(stores, booking_id, context, rule)


async def waited(stores: Stores, tx: Tx, booking: Booking, context: Context) -> Facts | Refusal:  # noqa: ARG001 - a Consequence
    """The waiting time at the door is over: technician and customer hear it."""
    return rules.waited(booking, context.now)


async def overran(stores: Stores, tx: Tx, booking: Booking, context: Context) -> Facts | Refusal:  # noqa: ARG001 - a Consequence
    """The visit takes longer than anybody said: its customer hears it, and a dispatcher is alerted."""
    facts = rules.overran(booking, context.now)
    if isinstance(facts, Refusal):
        return facts
    return (*facts, about(booking, Kind.OVERRUN, expected_end_at=booking.expected_end_at))


async def rate(stores: Stores, booking_id: UUID, command: commands.Rate, context: Context) -> Answer:
    """Rate a completed visit, once; a tip is charged to the method that paid it."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        comment = None if command.comment is None else await sealed(tx, context, command.comment)
        facts = rules.rate(booking, command, context.now, comment)
        if isinstance(facts, Refusal) or command.tip_amount == 0:
            return facts
        held = await payment_rows.held(tx, booking_id)
        return facts if held is None else (*facts, *payments.tip(held, new_id(), command.tip_amount))

    return await run(stores, booking_id, context, rule)


async def override(stores: Stores, booking_id: UUID, command: commands.Override, context: Context) -> Answer:
    """Set the state by hand, audited; money follows the state that was set."""

    async def rule(tx: Tx, booking: Booking) -> Facts | Refusal:
        facts = rules.override(
            booking, command, context.actor, context.now, wait_s=stores.policy.no_show_wait_s
        )
        if isinstance(facts, Refusal):
            return facts
        if command.state == "completed":
            return (*facts, *await collect(tx, booking, booking.price.total, Purpose.VISIT))
        if command.state in ("cancelled", "no_show"):
            return (*facts, *await collect(tx, booking, 0, Purpose.CANCELLATION_FEE))
        return facts

    return await run(stores, booking_id, context, rule)
