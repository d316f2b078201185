"""Weekly windows become spans of real time: across midnights, time zones and clock changes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.availability import ALWAYS, Window, earliest, merge, spans, window, without

ZONE = "America/New_York"
DAY = timedelta(days=1)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - the zone is set by map
pieces = st.lists(
    st.tuples(moments, st.integers(1, 600)).map(lambda p: (p[0], p[0] + timedelta(minutes=p[1]))), max_size=8
)
weeks = st.lists(
    st.builds(
        lambda day, start, length: Window(day, start, min(1440, start + length)),
        st.integers(0, 6),
        st.integers(0, 1400),
        st.integers(1, 700),
    ),
    max_size=10,
)


def test_a_day_reads_in_local_time() -> None:
    """Nine to five on Monday in New York is 13 to 21 h UTC in summer and 14 to 22 h in winter."""
    monday = (Window(0, 9 * 60, 17 * 60),)
    for day, hours in (
        (datetime(2026, 7, 6, tzinfo=UTC), (13, 21)),
        (datetime(2026, 1, 5, tzinfo=UTC), (14, 22)),
    ):
        (span,) = spans(monday, ZONE, day, day + DAY)
        assert (span[0].hour, span[1].hour) == hours


def test_always_is_one_unbroken_span_also_when_clocks_change() -> None:
    """Windows that meet at midnight join, on the days of 23 and 25 hours too."""
    for start in (datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 10, 30, tzinfo=UTC)):
        assert spans(ALWAYS, ZONE, start, start + 5 * DAY) == [(start, start + 5 * DAY)]


def test_the_day_of_23_hours_is_23_hours_long() -> None:
    """A whole local day is as long as the clocks make it."""
    sunday = (Window(6, 0, 1440),)
    (span,) = spans(sunday, ZONE, datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC))
    assert span[1] - span[0] == timedelta(hours=23)


@given(weeks, moments, st.integers(1, 200))
def test_spans_lie_inside_what_was_asked_in_order_and_apart(
    week: list[Window], start: datetime, hours: int
) -> None:
    """Spans are cut to the asked time, ordered, and never touch."""
    end = start + timedelta(hours=hours)
    found = spans(week, ZONE, start, end)
    assert all(start <= begins < ends <= end for begins, ends in found)
    assert all(left[1] < right[0] for left, right in pairwise(found))


@given(pieces, pieces)
def test_what_is_taken_is_not_free_and_nothing_else_is_lost(
    free: list[tuple[datetime, datetime]], taken: list[tuple[datetime, datetime]]
) -> None:
    """Free minus taken overlaps nothing taken, and together with what it overlapped is what it was."""
    free = merge(free)
    left = without(free, taken)
    for begins, ends in left:
        assert not any(begins < until and since < ends for since, until in taken)

    def length(some: list[tuple[datetime, datetime]]) -> timedelta:
        return sum((ends - begins for begins, ends in some), timedelta())

    overlap = merge((max(a, c), min(b, d)) for a, b in free for c, d in merge(taken))
    assert length(left) + length(overlap) == length(free)


@given(pieces, moments, st.integers(1, 300))
def test_the_earliest_start_fits_and_none_is_earlier(
    free: list[tuple[datetime, datetime]], not_before: datetime, minutes: int
) -> None:
    """The found start leaves room for the whole visit, and no earlier one does."""
    free, duration = merge(free), timedelta(minutes=minutes)
    start = earliest(free, not_before, duration)
    fits = [max(a, not_before) for a, b in free if max(a, not_before) + duration <= b]
    assert start == (min(fits) if fits else None)


def test_a_window_reads_and_writes_clock_times() -> None:
    """`{weekday, from, to}` survives the way through storage; 24:00 is the end of a day."""
    document = {"weekday": 3, "from": "08:30", "to": "24:00"}
    assert window(document).document() == document


@pytest.mark.parametrize(
    "document",
    [
        {"weekday": 7, "from": "08:00", "to": "09:00"},
        {"weekday": 0, "from": "09:00", "to": "08:00"},
        {"weekday": 0, "from": "8:00", "to": "09:00"},
        {"weekday": 0, "from": "08:60", "to": "10:00"},
        {"weekday": 0, "from": "08:00", "to": "24:01"},
    ],
)
def test_what_is_no_window_is_refused(document: dict[str, object]) -> None:
    """Inverted, empty, too long or badly written windows raise."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of the reasons
        window(document)
