"""Any sequence of commands leaves a booking that is the fold of its events and keeps its invariants."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain import booking_rules as rules
from domain import commands
from domain.alerts import OF_A_LEG, Kind, ended_by
from domain.booking import FINAL, OPEN, Booking, BookingEvent, State, apply
from domain.context import Actor, Role
from domain.facts import Fact
from domain.refusals import Refusal
from tests.unit.bookings import CUSTOMER, NOON, TECHNICIANS, blank, requested

ROLES = st.sampled_from(
    [Role.CUSTOMER, Role.TECHNICIAN, Role.DISPATCHER, Role.SUPPORT, Role.FOUNDER, Role.SYSTEM]
)

MAY_STAND = dict.fromkeys(State, frozenset[Kind]()) | {
    State.REQUESTED: frozenset({Kind.UNANSWERED}),
    State.ACCEPTED: frozenset({Kind.LATE_TO_START}),
    State.EN_ROUTE: OF_A_LEG | {Kind.LATE_TO_START},
    State.IN_SERVICE: frozenset({Kind.OVERRUN}),
}


class BookingLife(RuleBasedStateMachine):
    """Throws every command at one booking, by every role, at moving times."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.booking: Booking = blank()
        self.events: list[tuple[BookingEvent, datetime]] = []
        self.now = NOON
        self.final: State | None = None
        self.alerts: set[Kind] = set()

    @initialize()
    def ask(self) -> None:
        """A customer asks."""
        self.booking = requested()

    def _actor(self, role: Role) -> Actor:
        person = {Role.CUSTOMER: CUSTOMER, Role.TECHNICIAN: self.booking.technician_id}.get(role)
        return Actor(person, role, "all")

    def _take(self, outcome: tuple[Fact, ...] | Refusal) -> None:
        if isinstance(outcome, Refusal):
            return
        for fact in outcome:
            if isinstance(fact, BookingEvent):
                self.events.append((fact, self.now))
                self.booking = fact.booking
                self.alerts -= ended_by(fact.happened)
        if self.booking.state in FINAL and self.final is None:
            self.final = self.booking.state

    @rule(minutes=st.integers(0, 30))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.now += timedelta(minutes=minutes)

    @rule(
        role=ROLES,
        final=st.booleans(),
        what=st.sampled_from(["accept", "decline", "expire", "depart", "arrive", "start"]),
    )
    def move(self, role: Role, what: str, *, final: bool) -> None:
        """Somebody tries one of the plain steps."""
        b, actor, now = self.booking, self._actor(role), self.now
        outcomes: dict[str, Any] = {
            "accept": lambda: rules.accept(b, actor, now, {}),
            "decline": lambda: rules.decline(b, actor, now, sealed=b"", final=final),
            "expire": lambda: rules.expire(b, now, final=final),
            "depart": lambda: rules.depart(b, actor, now, session_id=UUID(int=50), opens_before_s=14400),
            "arrive": lambda: rules.arrive(b, commands.Arrive(), actor, now, wait_s=600),
            "start": lambda: rules.start(b, actor, now),
        }
        self._take(outcomes[what]())

    @rule(
        role=ROLES,
        what=st.sampled_from(
            ["near", "waited", "extend", "overran", "complete", "cancel", "no_show", "note", "rate"]
        ),
    )
    def serve(self, role: Role, what: str) -> None:
        """Somebody tries one of the others."""
        b, actor, now = self.booking, self._actor(role), self.now
        outcomes: dict[str, Any] = {
            "near": lambda: rules.came_near(b, now, session_id=UUID(int=50), by="distance"),
            "waited": lambda: rules.waited(b, now),
            "overran": lambda: rules.overran(b, now),
            "extend": lambda: rules.extend(b, commands.Extend(15), actor, now),
            "complete": lambda: rules.complete(b, actor, now),
            "cancel": lambda: rules.cancel(
                b, commands.Cancel("x"), actor, now, sealed=b"", fee_amount=5, policy="1", deadline_at=now
            ),
            "no_show": lambda: rules.no_show(b, actor, now, wait_s=600, fee_amount=7, policy="1"),
            "note": lambda: rules.note(b, commands.Note("hi", "message"), actor, now, b"sealed"),
            "rate": lambda: rules.rate(b, commands.Rate(5), now, None),
        }
        self._take(outcomes[what]())

    @rule(technician=st.sampled_from(TECHNICIANS), role=ROLES)
    def reassign(self, technician: UUID, role: Role) -> None:
        """A dispatcher, or a fallback, asks another technician."""
        deadline = self.now + timedelta(minutes=5)
        self._take(
            rules.reassign(
                self.booking, technician, self.now, cause="dispatcher", deadline_at=deadline, role=role
            )
        )

    @rule(role=ROLES, state=st.sampled_from(list(State)))
    def override(self, role: Role, state: State) -> None:
        """Somebody sets the state by hand."""
        self._take(
            rules.override(
                self.booking, commands.Override(state, "because"), self._actor(role), self.now, wait_s=600
            )
        )

    @rule(kind=st.sampled_from(list(Kind)))
    def alert(self, kind: Kind) -> None:
        """Whatever may be wrong with a booking in this state is told."""
        if kind in MAY_STAND[self.booking.state]:
            self.alerts.add(kind)

    @invariant()
    def alerts_end_with_their_cause(self) -> None:
        """However a booking goes on, no alert stands that its state cannot have: none outlives the booking."""
        assert self.alerts <= MAY_STAND[self.booking.state]

    @invariant()
    def row_is_the_fold_of_its_events(self) -> None:
        """Folding the events again gives the very same row, and versions have no gap."""
        folded = requested()
        for event, at in self.events:
            folded = apply(folded, event.happened, at).booking
            assert folded.version == event.booking.version
        if self.events:
            assert folded == self.booking

    @invariant()
    def final_is_final(self) -> None:
        """A booking that ended never lives again, and ends once."""
        assert self.final is None or self.booking.state == self.final

    @invariant()
    def shape_follows_state(self) -> None:
        """A GPS session exists only on the way; a visit that is accepted or later has its technician."""
        b = self.booking
        assert (b.gps_session_id is not None) == (b.state == State.EN_ROUTE)
        if b.state in OPEN - {State.REQUESTED}:
            assert b.technician_id is not None
        if b.technician_id is not None:
            assert b.technician_id in b.offered
        if b.state == State.IN_SERVICE:
            assert b.expected_end_at is not None
        if b.deadline_at is not None:
            assert b.state in {State.REQUESTED, State.ARRIVED}
        if b.state == State.ARRIVED:
            assert b.arrived_at is not None
            assert b.deadline_at == b.arrived_at + timedelta(minutes=10)


BookingLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBookingLife = BookingLife.TestCase
