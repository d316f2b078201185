"""Who is told what, and when it may not be said any more: the pure rules of notifications."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.booking import State
from domain.booking_events import HAPPENED
from domain.notifying import (
    EMAIL,
    LOG,
    PERSONAL,
    QUICK,
    SMS,
    TEMPLATES,
    USUAL_QUIET,
    WEB_PUSH,
    Heard,
    QuietHours,
    Standing,
    choose,
    quiet_until,
    still_true,
    wanted,
)

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
CUSTOMER, TECHNICIAN, FORMER = UUID(int=1), UUID(int=2), UUID(int=3)
SESSION = UUID(int=9)
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")

HEARD = Heard(
    topic="", at=NOW, data={}, actor_role="technician", customer_id=CUSTOMER, technician_id=TECHNICIAN, removed_id=None,
    starts_at=NOW + timedelta(minutes=40), time_zone="America/New_York",
)  # fmt: skip


def told(topic: str, heard: Heard = HEARD, **data: object) -> set[tuple[UUID, str]]:
    """Return who is told what of an event."""
    return {(each.person_id, each.template) for each in wanted(replace(heard, topic=topic, data=data))}


def test_the_technician_is_told_of_a_request_until_the_answer_is_due() -> None:
    """At once, whatever the hour, since it expires."""
    heard = replace(
        HEARD, topic="booking.requested", data={"deadline_at": (NOW + timedelta(minutes=5)).isoformat()}
    )
    (only,) = wanted(heard)
    assert (only.person_id, only.template, only.at_once) == (TECHNICIAN, "technician_requested", True)
    assert only.useful_until == NOW + timedelta(minutes=5)


def test_the_customer_hears_of_acceptance_departure_nearness_and_arrival() -> None:
    """Each at once, and nobody else is told."""
    for topic, template in (
        ("booking.accepted", "customer_accepted"),
        ("booking.departed", "customer_departed"),
        ("booking.near", "customer_near"),
        ("booking.arrived", "customer_arrived"),
        ("booking.waited", "customer_waited"),
    ):
        assert told(topic) == {(CUSTOMER, template)}
        assert all(each.at_once for each in wanted(replace(HEARD, topic=topic)))


def test_a_dispatchers_reassignment_tells_all_three() -> None:
    """The one who has it now, the one who had it, and the customer."""
    heard = replace(HEARD, removed_id=FORMER)
    due = (NOW + timedelta(minutes=5)).isoformat()
    everybody = {
        (TECHNICIAN, "technician_requested"), (FORMER, "technician_removed"), (CUSTOMER, "customer_reassigned"),
    }  # fmt: skip
    assert told("booking.reassigned", heard, cause="dispatcher", deadline_at=due) == everybody
    declined = told("booking.reassigned", heard, cause="declined", deadline_at=due)
    assert declined == everybody - {(FORMER, "technician_removed")}  # who declined knows


def test_a_refusal_tells_the_customer_only_when_nobody_else_is_asked() -> None:
    """With a next card, the reassignment that follows is what they hear of."""
    assert told("booking.declined", final=True) == {(CUSTOMER, "customer_declined")}
    assert told("booking.expired", final=True) == {(CUSTOMER, "customer_expired")}
    assert told("booking.declined", final=False) == told("booking.expired", final=False) == set()


def test_a_note_reaches_the_other_side() -> None:
    """The technician's the customer, the customer's the technician, a dispatcher's both."""
    assert told("booking.noted", author_role="technician") == {(CUSTOMER, "customer_note")}
    assert told("booking.noted", author_role="customer") == {(TECHNICIAN, "technician_note")}
    assert len(told("booking.noted", author_role="dispatcher")) == 2


def test_a_cancellation_of_a_visit_to_come_can_wait_for_the_morning() -> None:
    """Of one that is soon, it cannot; and who cancelled gets a confirmation, at leisure."""
    soon = {each.template: each for each in wanted(replace(HEARD, topic="booking.cancelled"))}
    later = {
        each.template: each
        for each in wanted(
            replace(
                HEARD,
                topic="booking.cancelled",
                actor_role="customer",
                starts_at=NOW + timedelta(days=2),
            )
        )
    }
    assert soon["technician_cancelled"].at_once
    assert soon["customer_cancelled"].at_once
    assert not later["technician_cancelled"].at_once
    assert not later["customer_cancelled"].at_once


def test_a_note_in_the_night_on_a_visit_of_next_week_wakes_nobody() -> None:
    """On a visit of now it does."""
    heard = replace(HEARD, topic="booking.noted", data={"author_role": "dispatcher"})
    assert all(each.at_once for each in wanted(heard))
    next_week = replace(heard, starts_at=NOW + timedelta(days=7))
    assert not any(each.at_once for each in wanted(next_week))


def test_an_override_tells_what_it_brought_about() -> None:
    """Set to completed or cancelled by hand, a visit ends for its people as it would have otherwise."""
    assert told("booking.overridden", to_state="completed") == told("booking.completed")
    assert told("booking.overridden", to_state="cancelled") == told("booking.cancelled")
    assert told("booking.overridden", to_state="in_service") == set()


def test_a_scheduled_visit_is_reminded_of_on_the_evening_before() -> None:
    """At six by the clocks of the area, for both; a visit of today has no such evening."""
    starts_at = datetime(2026, 11, 27, 14, tzinfo=UTC)
    heard = replace(HEARD, topic="booking.accepted", starts_at=starts_at)
    reminders = [each for each in wanted(heard) if each.template.endswith("reminder")]
    assert {each.person_id for each in reminders} == {CUSTOMER, TECHNICIAN}
    assert {each.due_at for each in reminders} == {datetime(2026, 11, 26, 23, tzinfo=UTC)}
    assert {each.useful_until for each in reminders} == {starts_at}
    assert told("booking.accepted") == {(CUSTOMER, "customer_accepted")}


def test_every_event_is_understood() -> None:
    """No type of the wire makes the rules stumble, with the least that its data can be."""
    data = {
        "deadline_at": NOW.isoformat(), "cause": "dispatcher", "final": True, "author_role": "technician",
        "to_state": "completed", "expected_end_at": NOW.isoformat(),
    }  # fmt: skip
    for happened in HAPPENED:
        for each in wanted(replace(HEARD, topic=happened.type, data=data)):
            assert each.template in TEMPLATES
            assert each.due_at <= each.useful_until


@pytest.mark.parametrize(
    ("template", "state", "technician_id", "true"),
    [
        ("technician_requested", State.REQUESTED, TECHNICIAN, True),
        ("technician_requested", State.REQUESTED, FORMER, False),
        ("technician_requested", State.CANCELLED, TECHNICIAN, False),
        ("technician_removed", State.REQUESTED, FORMER, True),
        ("technician_removed", State.REQUESTED, TECHNICIAN, False),
        ("customer_released", State.REQUESTED, None, True),
        ("customer_released", State.REQUESTED, FORMER, False),
        ("customer_accepted", State.ACCEPTED, TECHNICIAN, True),
        ("customer_accepted", State.CANCELLED, TECHNICIAN, False),
        ("customer_reminder", State.EN_ROUTE, TECHNICIAN, False),
        ("customer_arrived", State.IN_SERVICE, TECHNICIAN, False),
        ("customer_note", State.COMPLETED, TECHNICIAN, False),
        ("customer_completed", State.COMPLETED, TECHNICIAN, True),
        ("customer_refunded", State.COMPLETED, TECHNICIAN, True),
    ],
)
def test_what_became_untrue_is_not_said(
    template: str, state: State, technician_id: UUID | None, *, true: bool
) -> None:
    """A request that went to somebody else, an arrival after the visit began."""
    standing = Standing(state, technician_id, None, None, "authorized")
    assert still_true(template, standing, TECHNICIAN, {}) is true


def test_a_departure_is_told_of_its_own_leg_alone() -> None:
    """After a reassignment there may be another leg of the same booking."""
    data = {"gps_session_id": str(SESSION)}
    standing = Standing(State.EN_ROUTE, TECHNICIAN, SESSION, None, "authorized")
    assert still_true("customer_near", standing, TECHNICIAN, data)
    assert not still_true("customer_near", replace(standing, gps_session_id=UUID(int=8)), TECHNICIAN, data)


def test_an_older_end_is_not_told_over_a_newer_one() -> None:
    """Extended twice, only the last end counts."""
    data = {"expected_end_at": NOW.isoformat()}
    standing = Standing(State.IN_SERVICE, TECHNICIAN, None, NOW, "authorized")
    assert still_true("customer_extended", standing, TECHNICIAN, data)
    later = replace(standing, expected_end_at=NOW + timedelta(minutes=15))
    assert not still_true("customer_extended", later, TECHNICIAN, data)


minutes = st.integers(0, 1439)
quiets = st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]).map(lambda p: QuietHours(*p))
moments = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - UTC is set below
    st.sampled_from(
        [date(2026, 3, 8), date(2026, 11, 1), date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5)]
    ).flatmap(lambda d: st.datetimes(datetime(d.year, d.month, d.day), datetime(d.year, d.month, d.day, 23))),  # noqa: DTZ001 - as above
).map(lambda at: at.replace(tzinfo=UTC))


@given(now=moments, quiet=quiets, zone=st.sampled_from(ZONES))
def test_quiet_hours_end_when_they_say(now: datetime, quiet: QuietHours, zone: str) -> None:
    """Their end is later than now, within a day and its clock change, and not quiet itself; outside them is no end."""
    until = quiet_until(now, quiet, zone)
    local = now.astimezone(ZoneInfo(zone))
    assert (until is None) == (not quiet.hold(local.hour * 60 + local.minute))
    if until is not None:
        assert now < until <= now + timedelta(hours=25)
        assert quiet_until(until, quiet, zone) is None


def test_no_quiet_hours_are_never_quiet() -> None:
    """And the usual ones are nine in the evening until eight."""
    assert quiet_until(NOW, None, "UTC") is None
    night = datetime(2026, 11, 24, 4, tzinfo=UTC)  # 23:00 in New York
    assert quiet_until(night, USUAL_QUIET, "America/New_York") == datetime(2026, 11, 24, 13, tzinfo=UTC)


@pytest.mark.parametrize("pair", [(0, 0), (1440, 0), (-1, 5)])
def test_quiet_hours_have_two_ends(pair: tuple[int, int]) -> None:
    """The same minute twice would be never or always."""
    with pytest.raises(ValueError, match="two different times"):
        QuietHours(*pair)


@given(
    template=st.sampled_from(sorted(TEMPLATES)),
    chosen=st.none() | st.lists(st.sampled_from(PERSONAL), unique=True),
    reach=st.sets(st.sampled_from((*PERSONAL, LOG))),
)
def test_only_channels_that_are_allowed_and_reach_are_chosen(
    template: str, chosen: list[str] | None, reach: set[str]
) -> None:
    """And no mail is written of what is over in minutes, where something quicker goes."""
    picked = choose(template, chosen, reach)
    assert set(picked) <= reach
    assert (LOG in picked) == (LOG in reach)
    if chosen is not None:
        assert set(picked) - {LOG} <= set(chosen)
    elif reach & {WEB_PUSH, EMAIL}:
        assert SMS not in picked
    if chosen is None and reach:
        assert picked
    if TEMPLATES[template].brief and QUICK & set(picked):
        assert EMAIL not in picked
