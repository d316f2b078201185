"""The small rules of simulated life: pace, demand, counts."""

import random

import pytest

from geo.distance import plane_m
from loadtest.api import ApiError
from loadtest.demand import NEAR_M, Demand, read_streets
from loadtest.pace import Pace
from loadtest.tally import Tally, leaf, quantiles_ms

HOME = (39.28, -76.58)


@pytest.mark.parametrize(("speed", "driving"), [(1.0, 1.0), (2.0, 2.0), (5.0, 2.5), (100.0, 2.5), (0.5, 1.0)])
def test_waits_shrink_with_speed_but_driving_only_so_far(speed: float, driving: float) -> None:
    """A demo at a hundred times the speed waits a hundredth and drives two and a half times as fast."""
    assert Pace(speed).driving == driving
    assert Pace(speed).shrunk_s(100.0) == pytest.approx(100.0 / speed)


def test_there_is_always_some_demand_and_never_too_much() -> None:
    """Between 0.55 and 1 at any hour, lower at night than in the evening on average."""
    demand = Demand(random.Random(1), None)
    levels = {hour: [demand.level(float(t), hour) for t in range(0, 3_000, 50)] for hour in range(24)}
    assert all(0.55 <= level <= 1.0 for day in levels.values() for level in day)
    assert sum(levels[4]) < sum(levels[17])


def test_the_first_wishes_lie_a_short_leg_away_and_name_their_technician() -> None:
    """A demo's first bookings are near a home base, hurried, for that very technician."""
    demand = Demand(random.Random(1), None)
    for _ in range(20):
        wish = demand.near(HOME, ("plumbing",), prefer="t1")
        low, high = NEAR_M
        assert low - 1 <= plane_m(*wish.place, *HOME) <= high + 1
        assert (wish.hurried, wish.prefer, wish.service) == (True, "t1", "plumbing")


def test_ordinary_wishes_gather_around_few_spots() -> None:
    """With one home all wishes lie within a few kilometres of it."""
    demand = Demand(random.Random(2), None)
    places = [demand.anywhere([HOME], ("plumbing",)).place for _ in range(50)]
    assert max(plane_m(*place, *HOME) for place in places) < 4_000
    assert len(set(places)) == 50


def test_without_a_file_there_are_no_street_addresses() -> None:
    """Addresses are optional."""
    assert read_streets(None) == []


def test_latency_counts_only_what_was_watched_when_it_left() -> None:
    """A position that left before the customer watched, or came from elsewhere, measures nothing."""
    tally = Tally()
    tally.sent("s", 1)
    assert tally.seen("s", 2, 0.0) is None
    assert tally.seen("s", 1, float("inf")) is None
    tally.sent("s", 3)
    assert tally.seen("s", 3, 0.0) is not None
    assert tally.seen("s", 3, 0.0) is None
    assert tally.latency_ms()["count"] == 1


def test_errors_are_counted_by_place_and_code() -> None:
    """What went wrong reads like `accept:booking_state`, also out of a task group's group."""
    tally = Tally()
    error = ApiError(409, "booking_state", "not now", "sim-1")
    tally.error("accept", leaf(ExceptionGroup("tasks", [ExceptionGroup("inner", [error])])))
    assert tally.errors == {"accept:booking_state": 1}


def test_quantiles_are_milliseconds() -> None:
    """A hundred values from 1 to 100 ms; nothing gives only a count."""
    assert quantiles_ms([]) == {"count": 0}
    found = quantiles_ms([n / 1000 for n in range(1, 101)])
    assert (found["count"], found["p50"], found["max"]) == (100, pytest.approx(51, abs=1), 100.0)
    assert found["p95"] == pytest.approx(95, abs=1)
