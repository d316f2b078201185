"""Asking for a visit: two transactions with the payment gateway between them, so that none is open during its call.

First the time is held and the intent to authorise is committed; then the gateway is asked; then the booking, its first
events and the idempotent answer are committed together, or the hold is let go. A process that dies in between leaves a
hold that ends by itself, an intent that a job abandons, and a key whose retry goes on with the same booking.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from domain import booking_events as ev
from domain.availability import earliest, spans
from domain.booking import Booking, State, apply
from domain.commands import RequestBooking
from domain.context import Actor, Context, Role
from domain.facts import Decided, Fact, JobWanted
from domain.gate import Stopped
from domain.payments import (
    Authorized,
    Declined,
    Kind,
    PaymentIntended,
    PaymentIntent,
    PaymentSettled,
    Status,
    release,
)
from domain.refusals import Refusal
from domain.trust import Technician
from services import idempotency
from services.booking_command import keep_refusal, slot_taken, taken_time
from services.booking_steps import answer_by, not_qualified
from services.booking_timers import timed
from services.booking_view import around_one, view_for
from services.catalogue import area_at
from services.payments import authorize
from services.policy import Policy
from services.qualification import judge
from services.reply import Answer, Reply
from services.stores import Stores
from storage import booking_requests, bookings, matches, personal, reservations, technicians
from storage import idempotency as keys
from storage.booking_requests import Wanted
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

HOLD_S = 90
ABANDON_AFTER_S = 120
ON_BEHALF = frozenset({Role.SUPPORT, Role.DISPATCHER})
QUOTE_LEEWAY = timedelta(minutes=2)
HOLDS = (Kind.AUTHORIZE, Kind.VERIFY)
UNDECIDED = (Status.PENDING, Status.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands between the two transactions: the booking to be, and the intent that pays for it."""

    booking: Booking
    technician_id: UUID
    intent: PaymentIntent


async def request(stores: Stores, command: RequestBooking, context: Context) -> Answer:
    """Request a visit from the technician of a card; 201 with the booking once the payment is authorised."""
    try:
        asked = await _held(stores, command, context)
    except asyncpg.ExclusionViolationError:
        return await keep_refusal(stores, slot_taken(), context)
    if isinstance(asked, Reply | Refusal):
        return asked
    outcome = await authorize(stores, asked.intent)
    try:
        async with stores.db.transaction() as tx:
            match outcome:
                case Authorized():
                    return await _confirm(stores, tx, asked, outcome, context)
                case Declined():
                    refusal = Refusal("payment_declined", "The payment method was declined.")
                    return await _abandon(tx, asked, Status.DECLINED, refusal, context)
                case _:
                    refusal = Refusal("not_ready", "The payment gateway gave no answer; nothing was booked.")
                    return await _abandon(tx, asked, Status.FAILED, refusal, context)
    except asyncpg.ExclusionViolationError:
        async with stores.db.transaction() as tx:
            return await _abandon(tx, asked, Status.SUCCEEDED, slot_taken(), context)


async def _held(stores: Stores, command: RequestBooking, context: Context) -> Asked | Answer:
    """Hold; once more where a twin of this request took its key in between, and so has an answer for it."""
    try:
        async with stores.db.transaction() as tx:
            return await _hold(stores, tx, command, context)
    except asyncpg.UniqueViolationError:
        async with stores.db.transaction() as tx:
            return await _hold(stores, tx, command, context)


async def _hold(stores: Stores, tx: Tx, command: RequestBooking, context: Context) -> Asked | Answer:
    """Check everything, hold the time, commit the intent; or answer at once."""
    wanted = await booking_requests.read(tx, command.match_id, command.card_id, context)
    if wanted is None or not _may_book(wanted, context.actor):
        return Refusal("not_found", "There is no such match.")
    known = idempotency.known(wanted.key, wanted.actor_key, context)
    if known is not None:
        return known
    begun = _unsettled(wanted, context)
    checked = await _check(tx, wanted, command, context)
    if isinstance(checked, Refusal):
        await record(tx, idempotency.replied(checked, context, wanted.actor_key), context)
        return checked
    booking, technician_id = checked
    intent = begun or _intent(booking, command.payment_method, stores.policy, context)
    booking = replace(booking, booking_id=intent.booking_id)
    taken = taken_time(booking, technician_id, stores.policy.travel_buffer_s)
    held = reservations.Held(
        booking.booking_id, technician_id, taken.start, taken.end, context.now + timedelta(seconds=HOLD_S)
    )
    claimed = keys.Claimed(booking.booking_id, context.now + timedelta(seconds=idempotency.LEASE_S))
    payload = {"intent_id": str(intent.intent_id), "booking_id": str(booking.booking_id)}
    run_at = context.now + timedelta(seconds=ABANDON_AFTER_S)
    asking = () if begun else (PaymentIntended(intent), JobWanted("abandon_authorization", payload, run_at))
    await record(tx, [held, *asking, claimed], context)
    return Asked(booking, technician_id, intent)


def _may_book(match: Wanted, actor: Actor) -> bool:
    """Tell whose match may be booked: one's own; for its customer, by support or a dispatcher of its area."""
    if actor.role == Role.DISPATCHER:
        return match.area_id is not None and actor.covers(match.area_id)
    return match.customer_id == actor.person_id or actor.role in ON_BEHALF


def _intent(booking: Booking, method: str, policy: Policy, context: Context) -> PaymentIntent:
    """Authorise the total; for a visit far ahead only verify the method, since holds do not last that long."""
    far = booking.starts_at - context.now > timedelta(seconds=policy.verify_only_after_s)
    kind = Kind.VERIFY if far else Kind.AUTHORIZE
    return PaymentIntent(
        new_id(), booking.booking_id, kind, method, booking.price.total, booking.price.currency
    )


async def _check(
    tx: Tx, wanted: Wanted, command: RequestBooking, context: Context
) -> tuple[Booking, UUID] | Refusal:
    """Check card, place, time and technician, in this order; the technician is locked."""
    card = wanted.card
    if card is None:
        return Refusal("card_mismatch", "That card is not of that match.")
    if context.now > card.expires_at:
        return Refusal("match_expired", "The match has run out; discover again.")
    place = (command.address.lat, command.address.lon)
    area = await area_at(tx, *place)
    if area is None:
        return Refusal("outside_service_area", "The address lies outside our areas.")
    if area.area_id != card.area_id:
        return Refusal("card_mismatch", "The card was quoted for another area than the address lies in.")
    grounds, key = wanted.grounds, wanted.customer_key
    if grounds is None or grounds["technician"] is None:
        return Refusal("quote_expired", "This card can no longer be booked; discover again.")
    when = _when(card, technicians.from_document(grounds["technician"]), command.starts_at, context.now)
    if isinstance(when, Refusal) or key is None:
        return when if isinstance(when, Refusal) else Refusal("not_found", "There is no such match.")
    passed = judge(
        grounds, service=card.service, starts_at=when[0], ends_at=when[1], now=context.now, place=place
    )
    if isinstance(passed, Stopped):
        return not_qualified(passed)
    address = personal.seal(key, asdict(command.address))
    return _blank(card, when, address, command.fallback, context.now), card.technician_id


def _when(
    card: matches.MatchCard, technician: Technician, asked_for: datetime | None, now: datetime
) -> tuple[datetime, datetime] | Refusal:
    """Return when the visit begins and ends, in the hours that the technician works."""
    duration = timedelta(seconds=card.duration_s)
    if asked_for is None:
        starts_at = max(card.starts_at, now)
        return starts_at, starts_at + duration
    if asked_for < max(card.starts_at, now) - QUOTE_LEEWAY:
        return Refusal("slot_taken", "The technician cannot be there so early.")
    day = timedelta(days=1)
    free = spans(technician.availability, technician.time_zone, asked_for - day, asked_for + day + duration)
    if earliest(free, asked_for, duration) != asked_for:
        return Refusal("slot_taken", "The technician does not work at that time.")
    return asked_for, asked_for + duration


def _blank(
    card: matches.MatchCard, when: tuple[datetime, datetime], address: bytes, fallback: str, now: datetime
) -> Booking:
    """Return the booking before its first event: version 0, nobody asked yet."""
    return Booking(
        booking_id=new_id(), number="", state=State.REQUESTED, version=0, service=card.service,
        experience=card.experience, customer_id=card.customer_id, technician_id=None, match_id=card.match_id,
        card_id=card.card_id, area_id=card.area_id, jurisdiction=card.jurisdiction, starts_at=when[0],
        ends_at=when[1], expected_end_at=None, deadline_at=None, price=card.quote,
        payment_status="pending", gps_session_id=None, fallback=fallback, address=address, offered=(), near_at=None,
        arrived_at=None, fee_amount=0, rated=False, created_at=now, updated_at=now,
    )  # fmt: skip


def _unsettled(wanted: Wanted, context: Context) -> PaymentIntent | None:
    """Return the intent that a dead predecessor of this key left: asking the gateway again finds the same answer.

    It may be answered already (the gateway's message came first); one that is being released is no longer ours.
    """
    if wanted.key is None or wanted.key.claimed_at < context.now - keys.KEPT_FOR:
        return None
    resolved = {intent.parent_id for intent in wanted.begun}
    for intent in wanted.begun:
        if intent.kind in HOLDS and intent.status in UNDECIDED and intent.intent_id not in resolved:
            return intent
    return None


def _still_ours(intents: Sequence[PaymentIntent], intent: PaymentIntent) -> bool:
    """Tell whether a hold, locked, may still carry a booking: nobody gave it up meanwhile."""
    stands = any(each.intent_id == intent.intent_id and each.status in UNDECIDED for each in intents)
    return stands and all(each.parent_id != intent.intent_id for each in intents)


async def _confirm(stores: Stores, tx: Tx, asked: Asked, outcome: Authorized, context: Context) -> Answer:
    """Commit the booking with its first events, the firm time, the settled intent and the answer."""
    around = await booking_requests.confirming(
        tx, asked.technician_id, asked.intent.intent_id, context, customer_id=asked.booking.customer_id,
        area_id=asked.booking.area_id,
    )  # fmt: skip
    if not _still_ours(around.intents, asked.intent):
        await record(tx, [reservations.LetGo(asked.booking.booking_id, asked.technician_id)], context)
        refusal = Refusal("not_ready", "The payment took too long and was let go; nothing was booked.")
        return await idempotency.refuse(tx, refusal, context)
    number, version = await bookings.beginning(
        tx, asked.booking.area_id, asked.booking.jurisdiction, context.now
    )
    requested = apply(
        replace(asked.booking, number=number),
        ev.Requested(asked.technician_id, answer_by(stores.policy, context.now), version),
        context.now,
    )
    paid = ev.PaymentAuthorized(
        asked.intent.intent_id, asked.intent.amount, asked.intent.currency, outcome.verified_only
    )
    authorized = apply(requested.booking, paid, context.now)
    booking = authorized.booking
    shown = view_for(booking, around_one(booking, around), context.actor)
    reply = Reply(201, shown, version=booking.version)
    facts: list[Fact] = [
        *timed(stores.policy, (requested,)),
        authorized,
        taken_time(booking, asked.technician_id, stores.policy.travel_buffer_s),
        PaymentSettled(asked.intent.intent_id, Status.SUCCEEDED, outcome.gateway_ref),
        *idempotency.replied(reply, context, around.actor_key, booking.booking_id),
    ]
    if outcome.verified_only:
        near = booking.starts_at - timedelta(seconds=stores.policy.verify_only_after_s)
        facts.append(JobWanted("hold_payment", {"booking_id": str(booking.booking_id)}, near))
    if context.actor.role in ON_BEHALF:
        facts.append(Decided("booking.requested_on_behalf", "booking", str(booking.booking_id)))
    await record(tx, facts, context)
    return reply


async def _abandon(tx: Tx, asked: Asked, status: Status, refusal: Refusal, context: Context) -> Answer:
    """Let the time go and settle the intent; release what may be held at the gateway; keep the refusal."""
    facts: list[Fact] = [reservations.LetGo(asked.booking.booking_id, asked.technician_id)]
    if status is not Status.SUCCEEDED:
        facts.append(PaymentSettled(asked.intent.intent_id, status))
    if status is not Status.DECLINED and asked.intent.kind is Kind.AUTHORIZE:
        facts += release(asked.intent, new_id())
    await record(tx, facts, context)
    return await idempotency.refuse(tx, refusal, context)
