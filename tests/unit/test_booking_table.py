"""The transition table says exactly what the published contract says, for every state, command and role."""

import itertools
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from domain import booking_events as ev
from domain import booking_rules as rules
from domain import commands
from domain.alerts import Kind, ended_by
from domain.booking import TRANSITIONS, Booking, BookingEvent, State, apply
from domain.context import Actor, Role
from domain.refusals import Refusal
from tests.unit.bookings import NOON, TECHNICIANS, requested

SESSION = UUID(int=50)

# The published table, typed from the contract and not from the code: command, from, to, by.
PUBLISHED = """
accept    requested                       accepted    technician
decline   requested                       declined    technician
expire    requested                       expired     system
cancel    requested,accepted,en_route     cancelled   customer,dispatcher,support
cancel    arrived,in_service              cancelled   dispatcher
cancel    accepted,en_route               requested   technician
reassign  requested,accepted,en_route     requested   dispatcher,system
depart    accepted                        en_route    technician
arrive    en_route                        arrived     technician,system
start     arrived                         in_service  technician
no-show   arrived                         no_show     technician
extend    in_service                      in_service  technician
complete  in_service                      completed   technician
"""


def published() -> dict[tuple[str, str, str], str]:
    """Return {(command, state, role): target} of the published table."""
    rows = {}
    for line in PUBLISHED.strip().splitlines():
        command, sources, target, roles = line.split()
        for source, role in itertools.product(sources.split(","), roles.split(",")):
            rows[command, source, role] = target
    return rows


def test_the_table_is_the_published_one() -> None:
    """Nothing is allowed that was not published, and nothing published is refused."""
    ours = {
        (row.command, str(source), str(role)): str(row.target)
        for row in TRANSITIONS
        for source in row.sources
        for role in row.by
    }
    assert ours == published()


def test_no_command_is_ambiguous() -> None:
    """For one state and role a command leads to one place."""
    seen = [(row.command, source, role) for row in TRANSITIONS for source in row.sources for role in row.by]
    assert len(seen) == len(set(seen))


def test_every_event_of_the_table_has_a_payload() -> None:
    """Each transition's event is one of the typed payloads."""
    types = {each.type for each in ev.HAPPENED}
    assert {row.event for row in TRANSITIONS} <= types
    assert len(types) == len(ev.HAPPENED)


def standing(state: State) -> Booking:
    """Return a booking in that state, with its technician, late enough for any window or waiting time to be open."""
    arrived_at = NOON - timedelta(hours=1) if state in {State.ARRIVED, State.IN_SERVICE} else None
    waits_until = NOON - timedelta(minutes=50) if state == State.ARRIVED else None
    return replace(
        requested(), state=state, arrived_at=arrived_at, expected_end_at=NOON,
        deadline_at=NOON if state == State.REQUESTED else waits_until,
        gps_session_id=SESSION if state == State.EN_ROUTE else None,
    )  # fmt: skip


def answers(booking: Booking, actor: Actor) -> dict[str, object]:
    """Return what each command's rule says to this actor."""
    arrive = commands.Arrive()
    cancel = commands.Cancel("x")
    return {
        "accept": rules.accept(booking, actor, NOON, {}),
        "decline": rules.decline(booking, actor, NOON, sealed=b"", final=True),
        "cancel": rules.cancel(booking, cancel, actor, NOON, sealed=b"", fee_amount=0, policy="1", deadline_at=NOON),
        "reassign": rules.reassign(
            booking, TECHNICIANS[1], NOON, cause="dispatcher", deadline_at=NOON, role=actor.role
        ),
        "depart": rules.depart(booking, actor, NOON, session_id=SESSION, opens_before_s=14400),
        "arrive": () if booking.state == State.ARRIVED else rules.arrive(booking, arrive, actor, NOON, wait_s=600),
        "start": rules.start(booking, actor, NOON),
        "no-show": rules.no_show(booking, actor, NOON, wait_s=600, fee_amount=0, policy="1"),
        "extend": rules.extend(booking, commands.Extend(15), actor, NOON),
        "complete": rules.complete(booking, actor, NOON),
    }  # fmt: skip


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("role", list(Role))
def test_every_cell_is_what_the_rules_answer(state: State, role: Role) -> None:
    """For each state, role and command: what is published is done and leads there, all else is `booking_state`."""
    targets = published()
    for command, answer in answers(standing(state), Actor(None, role, "all")).items():
        target = targets.get((command, state, role))
        if target is None:
            assert answer == () or (isinstance(answer, Refusal) and answer.code == "booking_state"), command
            continue
        assert isinstance(answer, tuple), (command, answer)
        event = next(fact for fact in answer if isinstance(fact, BookingEvent))
        assert (event.booking.state, event.happened.type) == (
            target,
            rules.permitted(standing(state), command, role).event,  # type: ignore[union-attr]  # it is permitted
        )


def test_the_systems_own_words_have_their_moment() -> None:
    """Expire, near, waited and overran come from the system, in one state each, and not before their time."""
    moment = timedelta(seconds=1)
    for state in State:
        b = standing(state)
        said = {
            "requested": rules.expire(b, NOON, final=True),
            "en_route": rules.came_near(b, NOON, session_id=SESSION, by="eta"),
            "arrived": rules.waited(b, NOON),
            "in_service": rules.overran(b, NOON),
        }
        assert {name for name, answer in said.items() if isinstance(answer, tuple)} == {state} & said.keys()
    for early in (
        rules.expire(standing(State.REQUESTED), NOON - moment, final=True),
        rules.waited(standing(State.ARRIVED), NOON - timedelta(minutes=50) - moment),
        rules.overran(standing(State.IN_SERVICE), NOON - moment),
    ):
        assert isinstance(early, Refusal)


@pytest.mark.parametrize("kind", ["late", "access", "progress", "message"])
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("role", list(Role))
def test_notes_go_both_ways_in_their_time(state: State, role: Role, kind: str) -> None:
    """Customer, technician and dispatcher; in service, and of the kinds late and access from acceptance on."""
    said = rules.note(standing(state), commands.Note("hi", kind), Actor(None, role, "all"), NOON, b"sealed")
    way = {State.ACCEPTED, State.EN_ROUTE, State.ARRIVED} if kind in {"late", "access"} else set()
    may = role in {Role.CUSTOMER, Role.TECHNICIAN, Role.DISPATCHER} and state in way | {State.IN_SERVICE}
    assert isinstance(said, tuple) == may


@pytest.mark.parametrize("kind", list(Kind))
def test_every_alert_about_a_booking_ends(kind: Kind) -> None:
    """No booking can end and leave an alert standing that nobody clears, but the one that says that it was lost."""
    if kind == Kind.CREDENTIAL_EXPIRING:
        return
    cancelled = ev.Cancelled("dispatcher", 0, "1")
    by_hand = ev.Overridden("accepted", "cancelled")
    assert kind in ended_by(cancelled)
    assert kind in ended_by(by_hand)
    ways_out = {
        Kind.OVERRUN: ev.Completed(),
        Kind.UNANSWERED: ev.Accepted(TECHNICIANS[0], {}),
    }
    assert kind in ended_by(ways_out.get(kind, ev.Arrived(SESSION, "technician")))


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_be_reached(state: State) -> None:
    """No state is decoration: a row leads there, or a booking begins there."""
    assert state == State.REQUESTED or any(row.target == state for row in TRANSITIONS)


def test_a_late_tip_leaves_a_refunded_visit_refunded() -> None:
    """The payment of a visit that was refunded in full does not become a captured one by a tip."""
    refunded = apply(requested(), ev.PaymentRefunded(UUID(int=1), 4770, "USD", full=True), NOON).booking
    tipped = apply(refunded, ev.PaymentCaptured(UUID(int=2), 500, "USD"), NOON).booking
    assert tipped.payment_status == "refunded"


@pytest.mark.parametrize("version", [rules.EVENTS_MOST - 1, rules.EVENTS_MOST])
def test_nobody_talks_without_end(version: int) -> None:
    """A booking of 500 events takes no further note and no extension; what ends it is taken."""
    b = replace(standing(State.IN_SERVICE), version=version)
    actor = Actor(TECHNICIANS[0], Role.TECHNICIAN, "all")
    said = (
        rules.note(b, commands.Note("hi", "message"), actor, NOON, b"sealed"),
        rules.extend(b, commands.Extend(5), actor, NOON),
    )
    assert [isinstance(each, tuple) for each in said] == [version < rules.EVENTS_MOST] * 2
    assert isinstance(rules.complete(b, actor, NOON), tuple)
