"""The transition table says exactly what the published contract says, for every state, command and role."""

import itertools
from uuid import UUID

import pytest

from domain import booking_events as ev
from domain.booking import TRANSITIONS, State, apply
from tests.unit.bookings import NOON, requested

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


@pytest.mark.parametrize("state", list(State))
def test_every_state_can_be_reached(state: State) -> None:
    """No state is decoration: a row leads there, or a booking begins there."""
    assert state == State.REQUESTED or any(row.target == state for row in TRANSITIONS)


def test_a_late_tip_leaves_a_refunded_visit_refunded() -> None:
    """The payment of a visit that was refunded in full does not become a captured one by a tip."""
    refunded = apply(requested(), ev.PaymentRefunded(UUID(int=1), 4770, "USD", full=True), NOON).booking
    tipped = apply(refunded, ev.PaymentCaptured(UUID(int=2), 500, "USD"), NOON).booking
    assert tipped.payment_status == "refunded"
