"""A planned visit of the past told step by step: the facts of each step, with who did it and when.

The rules' own `apply` folds the booking, the ledger's own builders make the entries, and every intent has its operation
in the sandbox gateway's books, so that a refund of an old visit works like that of a new one.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

from app.seeds.history import Planned
from app.seeds.ids import seeded_id
from app.seeds.people import DEMO
from domain import booking_events as ev
from domain import cancellation, ledger
from domain.booking import Booking, BookingEvent, State, apply
from domain.commands import ReasonCode
from domain.context import SYSTEM, Actor, Context, Role
from domain.facts import Fact, JobWanted
from domain.matching import MatchMade
from domain.money import Money
from domain.payments import (
    Kind,
    PaymentIntended,
    PaymentIntent,
    PaymentSettled,
    Purpose,
    Status,
    collect,
    release,
    tip,
)
from services.booking_command import taken_time
from services.policy import Policy
from storage import personal

type Step = tuple[Sequence[Fact], Context]

COMMENTS = ("On time and very careful.", "Friendly, quick, left everything clean.", "Explained it all. Thank you!",
            "Would book again.", "A bit late, but called before.")  # fmt: skip
FAVOURITE = f"technician@{DEMO}"
SAID_NO = (ReasonCode.NO_TIME, ReasonCode.NO_TIME, ReasonCode.TOO_FAR, ReasonCode.VEHICLE)
CANCELLED = (ReasonCode.ANOTHER_TIME, ReasonCode.CHANGED_MIND, ReasonCode.FOUND_ANOTHER, ReasonCode.PERSONAL)
LATE = "Traffic on Eastern Avenue, ten minutes behind. Sorry!"


def looks(planned: Planned) -> Iterator[tuple[object, object, str, datetime]]:
    """Iterate over what the customer looked at (match, card, how, when): down to the chosen card, which was opened."""
    chance = random.Random(f"look {planned.name}")
    shown = [row for row in planned.candidates if row.get("card_id")]
    place = next(place for place, row in enumerate(shown) if row["card_id"] == planned.card_id)
    for index, row in enumerate(shown[: max(place + 1, 3)]):
        kinds = ["seen"]
        if index == place or chance.random() < 0.3:
            kinds.append("opened")
        if index == place and chance.random() < 0.6:
            kinds.append("credentials")
        for kind in kinds:
            yield planned.match["match_id"], row["card_id"], kind, planned.asked_at + timedelta(seconds=8)


class Teller:
    """Tells one visit; `operations` are what the gateway did, in order."""

    def __init__(self, planned: Planned, number: str, keys: Mapping[UUID, bytes], policy: Policy) -> None:
        self.operations: list[PaymentIntent] = []
        self._planned = planned
        self._keys = keys
        self._policy = policy
        self._chance = random.Random(f"visit {planned.name}")
        self._at = planned.asked_at
        self._steps = 0
        self._technician_id = planned.chosen.technician.technician_id
        self._booking = _blank(planned, number, keys[planned.customer_id])
        self._held = PaymentIntent(self._id("hold"), self._booking.booking_id, Kind.AUTHORIZE, "sandbox_ok",
                                   planned.quote.total, planned.quote.currency)  # fmt: skip

    def tell(self) -> Iterator[Step]:
        """Iterate over the steps, in order of time."""
        planned, version = self._planned, self._policy.version
        wish = {"lat": planned.wish.lat, "lon": planned.wish.lon}
        match = {**planned.match, "place": personal.seal(self._keys[planned.customer_id], wish)}
        yield [MatchMade(match, planned.candidates)], self._customer(0)
        yield self._request()
        match planned.outcome:
            case "declined":
                declined = ev.Declined(self._technician_id, final=True, reason_code=self._why(SAID_NO))
                yield self._step(self._technician(90), declined)
                yield self._let_go()
            case "expired":
                expired = ev.Expired(self._technician_id, final=True)
                yield self._step(self._system(self._policy.answer_within_s + 1), expired)
                yield self._let_go()
            case "cancelled":
                yield self._accept()
                cancelled = ev.Cancelled("customer", 0, version, self._why(CANCELLED))
                yield self._step(self._customer(150), cancelled)
                yield self._let_go()
            case _:
                yield self._accept()
                yield from self._drive()
                yield from self._serve() if planned.outcome == "completed" else self._no_show()

    def _why(self, codes: Sequence[ReasonCode]) -> str:
        return random.Random(f"why {self._planned.name}").choice(codes)

    def _request(self) -> Step:
        context = self._customer(self._chance.randint(20, 120))
        deadline_at = self._at + timedelta(seconds=self._policy.answer_within_s)
        self._booking = replace(self._booking, created_at=self._at)
        asked = self._apply(ev.Requested(self._technician_id, deadline_at, cancellation.FIRST.version))
        held = self._held
        paid = self._apply(
            ev.PaymentAuthorized(held.intent_id, held.amount, held.currency, verified_only=False)
        )
        taken = taken_time(self._booking, self._technician_id, self._policy.travel_buffer_s)
        return [asked, paid, taken, PaymentIntended(held), self._settled(held)], context

    def _accept(self) -> Step:
        return self._step(
            self._technician(80), ev.Accepted(self._technician_id, self._planned.chosen.passed.evidence)
        )

    def _drive(self) -> Iterator[Step]:
        way_s = self._planned.chosen.facts.way_s
        leaves = self._planned.chosen.starts_at - timedelta(seconds=way_s + self._chance.randint(-240, 60))
        self._at = max(self._at, leaves)
        session_id = seeded_id("session", self._planned.name, self._at)
        yield self._step(self._technician(10), ev.Departed(session_id))
        if self._chance.random() < 0.12:
            context = self._technician(30)
            text = personal.seal(self._keys[self._technician_id], LATE)
            yield [self._apply(ev.Noted("late", "technician"), note=text)], context
        way_s = max(120.0, way_s * self._chance.uniform(0.9, 1.35))
        yield self._step(self._system(way_s * 0.8), ev.CameNear(session_id, "distance"))
        context = self._system(way_s * 0.2)
        until = self._at + timedelta(seconds=self._policy.no_show_wait_s)
        yield self._step(context, ev.Arrived(session_id, "detector", until))

    def _serve(self) -> Iterator[Step]:
        length = self._planned.ends_at - self._planned.chosen.starts_at
        context = self._technician(self._chance.randint(60, 240))
        yield self._step(context, ev.Started(self._at + length))
        context = self._technician(length.total_seconds() * self._chance.uniform(0.8, 1.1))
        done = self._apply(ev.Completed())
        taking = collect(self._held, self._id("capture"), self._held.amount)
        yield [done, *_without_jobs(taking)], context
        price, commission_bp = self._booking.price, self._policy.commission_bp
        yield self._captured(taking, ledger.capture(self._of("capture"), price, commission_bp))
        if self._chance.random() < 0.8:
            yield from self._rate()

    def _no_show(self) -> Iterator[Step]:
        context = self._technician(self._policy.no_show_wait_s + 30)
        fee = cancellation.no_show_fee(self._booking, cancellation.FIRST)
        ended = self._apply(ev.NoShow(fee.amount, fee.policy))
        taking = collect(self._held, self._id("fee"), fee.amount, Purpose.NO_SHOW_FEE)
        yield [ended, *_without_jobs(taking)], context
        amount = Money(fee.amount, self._booking.price.currency)
        posted = ledger.fee(self._of("fee"), Purpose.NO_SHOW_FEE, amount, self._policy.commission_bp)
        yield self._captured(taking, posted)

    def _rate(self) -> Iterator[Step]:
        context = self._customer(self._chance.randint(600, 5400))
        favourite = self._planned.chosen.technician.technician_id == seeded_id("person", FAVOURITE)
        stars = 5 if favourite else self._chance.choices((5, 4, 3, 2), (70, 22, 6, 2))[0]
        given = self._chance.choice((0, 0, 0, 500, 800, 1000)) if stars >= 4 else 0
        comment = personal.seal(self._keys[self._planned.customer_id], self._chance.choice(COMMENTS))
        rated = self._apply(ev.Rated(stars, given), note=comment if stars >= 4 else None)
        taking = tip(self._held, self._id("tip"), given) if given else ()
        yield [rated, *_without_jobs(taking)], context
        if given:
            posted = ledger.tip(self._of("tip"), Money(given, self._booking.price.currency))
            yield self._captured(taking, posted)

    def _let_go(self) -> Step:
        going = release(self._held, self._id("void"))
        intent = _intent(going)
        context = self._system(2)
        voided = self._apply(ev.PaymentVoided(intent.intent_id))
        return [*_without_jobs(going), self._settled(intent), voided], context

    def _captured(self, taking: Sequence[Fact], posted: ledger.LedgerPosted) -> Step:
        intent = _intent(taking)
        context = self._system(2)
        taken = self._apply(ev.PaymentCaptured(intent.intent_id, intent.amount, intent.currency))
        return [self._settled(intent), taken, posted], context

    def _step(self, context: Context, happened: ev.Happened) -> Step:
        return [self._apply(happened)], context

    def _apply(self, happened: ev.Happened, note: bytes | None = None) -> BookingEvent:
        event = apply(self._booking, happened, self._at, note=note)
        self._booking = event.booking
        return event

    def _settled(self, intent: PaymentIntent) -> PaymentSettled:
        self.operations.append(intent)
        return PaymentSettled(intent.intent_id, Status.SUCCEEDED, sandbox_ref(intent))

    def _of(self, what: str) -> ledger.Of:
        booking = self._booking
        return ledger.Of(
            self._id(f"ledger {what}"), booking.booking_id, self._technician_id, booking.jurisdiction
        )

    def _id(self, what: str) -> UUID:
        return seeded_id(what, self._planned.name, self._at)

    def _customer(self, after_s: float) -> Context:
        return self._by(Actor(self._planned.customer_id, Role.CUSTOMER), after_s)

    def _technician(self, after_s: float) -> Context:
        return self._by(Actor(self._technician_id, Role.TECHNICIAN), after_s)

    def _system(self, after_s: float) -> Context:
        return self._by(SYSTEM, after_s)

    def _by(self, actor: Actor, after_s: float) -> Context:
        """Let time pass, then let somebody act; each act is a story of its own, as a request would be."""
        self._at += timedelta(seconds=after_s)
        self._steps += 1
        story = seeded_id("story", f"{self._planned.name} {self._steps}", self._at)
        return Context(actor, self._at, story.hex)


def sandbox_ref(intent: PaymentIntent) -> str:
    """Return what the sandbox gateway calls an operation."""
    return f"sb_{intent.kind}_{intent.intent_id.hex[-12:]}"


def _blank(planned: Planned, number: str, key: bytes) -> Booking:
    at = planned.asked_at
    return Booking(
        booking_id=seeded_id("booking", planned.name, at), number=number, state=State.REQUESTED, version=0,
        service=planned.wish.service, experience=planned.wish.experience, customer_id=planned.customer_id,
        technician_id=None, match_id=UUID(str(planned.match["match_id"])), card_id=planned.card_id,
        area_id=planned.house.area.area_id, jurisdiction=planned.house.area.jurisdiction,
        starts_at=planned.chosen.starts_at, ends_at=planned.ends_at, expected_end_at=None, deadline_at=None,
        price=planned.quote, payment_status="pending", gps_session_id=None, fallback="none",
        address=personal.seal(key, asdict(planned.house.address)), offered=(), near_at=None, arrived_at=None,
        fee_amount=0, rated=False, created_at=at, updated_at=at,
    )  # fmt: skip


def _without_jobs(facts: Sequence[Fact]) -> list[Fact]:
    """Leave out what is to be done later: it was done."""
    return [fact for fact in facts if not isinstance(fact, JobWanted)]


def _intent(facts: Sequence[Fact]) -> PaymentIntent:
    return next(fact.intent for fact in facts if isinstance(fact, PaymentIntended))
