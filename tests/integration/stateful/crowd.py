"""A crowd at one booking: what each of them does, what they may be told, and what must hold once all were answered.

Nobody here knows the right outcome. What is known is what no outcome may break: an acknowledged command is in the
events once, a refused one is not there at all, one key has one answer, and everything that should agree does.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import commands
from domain.booking import Booking
from domain.commands import RequestBooking
from domain.context import SYSTEM, Actor, Claim, Context, Role
from domain.refusals import Refusal, problem
from services import audit, booking, booking_offers, deadlines, payment_webhooks, payments, verification
from services.booking_request import request
from services.job import Later
from services.payment_gateway import GatewayAnswer, GatewayMessage
from services.reply import Answer, Reply
from services.sandbox_gateway import SandboxGateway
from storage import bookings
from storage.ids import new_id
from tests.integration.world import World, address

# What somebody in a crowd may be told; everything else, an exception above all, is a fault of ours.
TOLD = frozenset({
    "booking_state", "slot_taken", "not_qualified", "already_rated", "version_conflict", "idempotency_in_progress",
    "not_found", "forbidden",
})  # fmt: skip
IN_PROGRESS = "idempotency_in_progress"
# A deadline that fires later goes on with the story of the request that set it: what it does is not that request's.
EVENTS = """
SELECT correlation_id, type FROM app.booking_events
WHERE correlation_id = ANY ($1) AND (actor_role <> 'system' OR type = 'booking.arrived')
"""
PENDING = "SELECT intent_id, booking_id, kind FROM app.payment_intents WHERE status = 'pending'"
TAKEN = """
SELECT EXISTS (SELECT FROM app.reservations WHERE technician_id = $1 AND active
               AND during && tstzrange($2::timestamptz - interval '15 min', $3::timestamptz + interval '60 min'))
"""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that one of the crowd does. `key` shared by several means: the same request, sent again."""

    what: str
    key: str | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A deed, the request that it was, and its answer."""

    deed: Deed
    context: Context
    answer: Answer


type Act = Callable[[World, UUID, Context], Awaitable[Answer]]

# deed -> (whose it is, what it calls, the event that an acknowledged one leaves)
DEEDS: dict[str, tuple[str, Act, str | None]] = {
    "accept": ("technician", lambda w, b, c: booking.accept(w.stores, b, commands.Accept(), c), "booking.accepted"),
    "decline": ("technician", lambda w, b, c: booking_offers.decline(w.stores, b, commands.Decline("Ill"), c),
                "booking.declined"),
    "depart": ("technician", lambda w, b, c: booking.depart(w.stores, b, commands.Depart(), c), "booking.departed"),
    "arrive": ("technician", lambda w, b, c: booking.arrive(w.stores, b, commands.Arrive(), c), None),
    "detect": ("system", lambda w, b, c: booking.arrive(w.stores, b, commands.Arrive("detector"), c), None),
    "start": ("technician", lambda w, b, c: booking.start(w.stores, b, commands.Start(), c), "booking.started"),
    "note": ("technician", lambda w, b, c: booking.note(w.stores, b, commands.Note("Hm", "late"), c), "booking.noted"),
    "extend": ("technician", lambda w, b, c: booking.extend(w.stores, b, commands.Extend(10), c), "booking.extended"),
    "complete": ("technician", lambda w, b, c: booking.complete(w.stores, b, commands.Complete(), c),
                 "booking.completed"),
    "no-show": ("technician", lambda w, b, c: booking.no_show(w.stores, b, commands.NoShow("Dark"), c),
                "booking.no_show"),
    "release": ("technician", lambda w, b, c: booking_offers.cancel(w.stores, b, commands.Cancel("Van broke"), c),
                "booking.released"),
    "cancel": ("customer", lambda w, b, c: booking_offers.cancel(w.stores, b, commands.Cancel("Rain"), c),
               "booking.cancelled"),
    "support": ("support", lambda w, b, c: booking_offers.cancel(w.stores, b, commands.Cancel("Asked to"), c),
                "booking.cancelled"),
    "reassign": ("dispatcher", lambda w, b, c: booking_offers.reassign(
        w.stores, b, commands.Reassign(w.technicians[3], "Nearer"), c), "booking.reassigned"),
    "override": ("dispatcher", lambda w, b, c: booking.override(w.stores, b, commands.Override("arrived", "Saw it"), c),
                 "booking.overridden"),
    "close": ("founder", lambda w, b, c: booking.override(w.stores, b, commands.Override("cancelled", "Storm"), c),
              "booking.overridden"),
    "rate": ("customer", lambda w, b, c: booking.rate(w.stores, b, commands.Rate(4, "Fine", 100, "USD"), c),
             "booking.rated"),
}  # fmt: skip
BESIDE = ("deadlines", "jobs", "webhooks", "seal")  # what goes on in the house meanwhile


class Crowd:
    """Twenty and more, all at once, at one booking and its technician."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.booking_id: UUID | None = None
        self.done: list[Done] = []

    async def book(self, starts_at: Sequence[datetime], again: int) -> None:
        """Many ask for overlapping times of one technician, and a dispatcher for another booking's: one gets them.

        `again`: how many of the requests come twice at once, with one key.
        """
        world, technician = self.world, self.world.technicians[0]
        first = min(starts_at)
        async with world.stores.db.reading() as tx:
            free = not await tx.fetchval(TAKEN, technician, first, max(starts_at))
        other = await world.book(first, customer=1, asked=(1, 0))
        asks: list[tuple[RequestBooking, Context]] = []
        for n, at in enumerate(starts_at):
            match_id, cards = await world.match(at, customer=n % 2, asked=(0, 2))
            asked = RequestBooking(match_id, cards[0], address(), "sandbox_ok", fallback="next_card")
            context = self._context(Actor(world.customers[n % 2], Role.CUSTOMER), f"ask {n} {new_id().hex}")
            asks += [(asked, context)] * (2 if n < again else 1)
        to_them = commands.Reassign(technician, "Nearer")
        moves = [self._context(world.dispatch(), new_id().hex) for _ in range(6)]
        asked_for: list[Awaitable[Answer]] = [
            request(world.stores, asked, self._told(c)) for asked, c in asks
        ]
        asked_for.extend(booking_offers.reassign(world.stores, other, to_them, c) for c in moves)
        answers = await asyncio.gather(*asked_for)
        won: dict[str, UUID] = {}
        for context, answer in zip([*(c for _, c in asks), *moves], answers, strict=True):
            if isinstance(answer, Reply) and answer.status < 300:
                assert context.claim is not None
                won[context.claim.key] = UUID(str(answer.body["booking_id"]))
            else:
                assert told(answer) in {"slot_taken", "booking_state", IN_PROGRESS}, answer
        assert len(won) == free, (free, won)
        self.booking_id = next(iter(won.values()), other)
        if self.booking_id != other:
            why = commands.Cancel("Not needed")
            await booking_offers.cancel(world.stores, other, why, world.context(world.customer(1)))
        await self.agrees()

    async def act(self, deeds: Sequence[Deed], beside: Sequence[str], only: str | None) -> None:
        """All do it at once. `only`: where nobody does anything else, of these one succeeds if any may."""
        before = await self.booking()
        contexts = {deed.key: self._as(deed, before) for deed in deeds if deed.key is not None}
        made = [contexts[d.key] if d.key is not None else self._as(d, before) for d in deeds]
        made = [self._told(context) for context in made]
        possible = only is not None and await self._possible(only, before)
        house = asyncio.gather(*(self._go_on(what) for what in beside))
        answers = await asyncio.gather(*(self._do(d, c) for d, c in zip(deeds, made, strict=True)))
        await house
        done = [Done(d, c, a) for d, c, a in zip(deeds, made, answers, strict=True)]
        self.done += done
        succeeded = await self._reflected(done)
        if only is not None and possible:
            assert succeeded[only] == 1, (only, before.state, succeeded)
        self._one_answer_a_key(done)
        await self._again(done)
        await self.agrees()

    async def booking(self) -> Booking:
        """Read the booking that the crowd is at."""
        assert self.booking_id is not None
        async with self.world.stores.db.reading() as tx:
            found = await bookings.get(tx, self.booking_id)
        assert found is not None
        return found

    async def agrees(self) -> None:
        """Everything that should agree does."""
        found = await verification.verify(self.world.stores.db)
        broken = {f.name: f.first for f in found if f.broken}
        assert broken == {}, broken

    async def _possible(self, what: str, before: Booking) -> bool:
        states = {"accept": "requested", "depart": "accepted", "start": "arrived", "complete": "in_service",
                  "rate": "completed"}  # fmt: skip
        return before.state == states.get(what) and not (what == "rate" and before.rated)

    def _as(self, deed: Deed, before: Booking) -> Context:
        """Make the request of a deed; a stale one names the version before this one."""
        world, role = self.world, DEEDS[deed.what][0]
        actor = {
            "technician": Actor(before.technician_id or world.technicians[0], Role.TECHNICIAN),
            "customer": Actor(before.customer_id, Role.CUSTOMER),
            "dispatcher": world.dispatch(),
            "founder": Actor(world.founder, Role.FOUNDER),
            "support": Actor(world.founder, Role.SUPPORT),  # somebody with a key, in another role
            "system": SYSTEM,
        }[role]
        context = self._context(actor, deed.key if role != "system" else None, deed.what)
        return replace(context, if_match=before.version - 1) if deed.stale else context

    def _context(self, actor: Actor, key: str | None, route: str = "test") -> Context:
        claim = None if key is None else Claim(str(actor.person_id), route, key, b"same")
        return Context(actor, datetime.now(UTC), "none", claim)

    def _told(self, context: Context) -> Context:
        return replace(context, correlation_id=f"crowd-{new_id().hex}")

    async def _do(self, deed: Deed, context: Context) -> Answer:
        assert self.booking_id is not None
        async with asyncio.timeout(20):
            return await DEEDS[deed.what][1](self.world, self.booking_id, context)

    async def _go_on(self, what: str) -> None:
        """Let a deadline come, do the jobs twice at once, let the gateway tell twice what it did, or seal decisions."""
        stores, now = self.world.stores, datetime.now(UTC)
        if what == "deadlines":
            await asyncio.gather(
                *(deadlines.fire_due(stores, now + timedelta(seconds=400)) for _ in range(3))
            )
            return
        if what == "seal":
            await audit.seal(stores.db)
            return
        async with stores.db.reading() as tx:
            pending = await tx.fetch(PENDING)
        await asyncio.gather(*(self._pay(row["intent_id"], what) for row in pending for _ in range(2)))

    async def _pay(self, intent_id: UUID, what: str) -> None:
        stores, context = self.world.stores, Context(SYSTEM, datetime.now(UTC), f"crowd-{new_id().hex}")
        try:
            await payments.ask_gateway(stores, {"intent_id": str(intent_id)}, context)
        except Later:
            return
        if what == "webhooks":
            assert isinstance(stores.gateway, SandboxGateway)
            async with stores.db.reading() as tx:
                row = await tx.fetchrow(
                    "SELECT outcome, ref, reason FROM sandbox.operations WHERE intent_id = $1", intent_id)  # fmt: skip
            assert row is not None
            message = GatewayMessage(f"msg_{intent_id.hex}", intent_id, GatewayAnswer(row[0], row[1], row[2]))
            headers, body = stores.gateway.sign(message, datetime.now(UTC))
            told = await payment_webhooks.receive(stores, "sandbox", headers, body, context)
            assert isinstance(told, Reply), told

    async def _reflected(self, done: Sequence[Done]) -> dict[str, int]:
        """What was acknowledged is in the events once, what was refused is not; count what succeeded."""
        found: dict[str, list[str]] = defaultdict(list)
        async with self.world.stores.db.reading() as tx:
            for row in await tx.fetch(EVENTS, [d.context.correlation_id for d in done]):
                found[row["correlation_id"]].append(row["type"])
        succeeded: dict[str, int] = defaultdict(int)
        for d in done:
            types, event = found[d.context.correlation_id], DEEDS[d.deed.what][2]
            fresh = isinstance(d.answer, Reply) and d.answer.status < 300 and not d.answer.replayed
            if fresh:
                succeeded[d.deed.what] += 1
                assert event is None or types.count(event) == 1, (d, types)
                assert event is not None or types in ([], ["booking.arrived"]), (d, types)
            else:
                assert types == [], (d, types)
                code = told(d.answer)
                assert code is None or code in TOLD, d
        return succeeded

    def _one_answer_a_key(self, done: Sequence[Done]) -> None:
        answers: dict[tuple[str, str], list[object]] = defaultdict(list)
        for d in done:
            if d.context.claim is not None and told(d.answer) not in {
                IN_PROGRESS,
                "version_conflict",
                "not_found",
            }:
                answers[d.deed.what, d.context.claim.key].append(same(d.answer))
        for asked, given in answers.items():
            assert all(each == given[0] for each in given), (asked, given)

    async def _again(self, done: Sequence[Done]) -> None:
        """Whoever asks again with the same key is answered the same, whatever happened meanwhile."""
        for d in done:
            if d.context.claim is None or told(d.answer) in {IN_PROGRESS, "version_conflict", "not_found"}:
                continue
            answer = await self._do(d.deed, replace(d.context, correlation_id=f"again-{new_id().hex}"))
            assert isinstance(answer, Reply), (d, answer)
            assert answer.replayed, (d, answer)
            assert same(answer) == same(d.answer), (d, answer)


def told(answer: Answer) -> str | None:
    """Return the code of a refusal, fresh or kept; None for a good answer."""
    if isinstance(answer, Refusal):
        return answer.code
    return str(answer.body["code"]) if answer.status >= 400 else None


def same(answer: Answer) -> tuple[int, Any]:
    """What two answers for one key have in common: all but the id of the story that was told first."""
    body = problem(answer, "") if isinstance(answer, Refusal) else answer.body
    plain = _plain({k: v for k, v in body.items() if k != "correlation_id"})
    return answer.status, plain


def _plain(value: Any) -> Any:
    """A fresh answer holds ids and times, a kept one their text."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, (int, float, str, bool)) or value is None else str(value)
