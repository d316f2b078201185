"""When a technician works: weekly windows in the technician's own time zone, turned into free spans of real time.

Windows are minutes of a local day; a window that ends at 24:00 joins the next day's that begins at 00:00. Days of a
clock change are as long as the clocks make them. All spans are half-open and in aware UTC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTES_A_DAY = 24 * 60

type Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """Working time on one weekday (Monday 0), as minutes after local midnight; `end_min` is at most 1440."""

    weekday: int
    start_min: int
    end_min: int

    def __post_init__(self) -> None:
        """Raise ValueError for what is no window."""
        if not (0 <= self.weekday <= 6 and 0 <= self.start_min < self.end_min <= MINUTES_A_DAY):
            raise ValueError("a window lies within one day and ends after it begins")

    def document(self) -> dict[str, Any]:
        """Return the window as it is stored and sent: `{weekday, from, to}` with local clock times."""
        return {"weekday": self.weekday, "from": _clock(self.start_min), "to": _clock(self.end_min)}


ALWAYS: tuple[Window, ...] = tuple(Window(day, 0, MINUTES_A_DAY) for day in range(7))


def window(document: dict[str, Any]) -> Window:
    """Read `{weekday, from, to}`; ValueError or KeyError when it is none."""
    return Window(int(document["weekday"]), _minutes(document["from"]), _minutes(document["to"]))


def spans(windows: Iterable[Window], time_zone: str, start: datetime, end: datetime) -> list[Span]:
    """Return the working spans that touch [start, end), merged and cut to it."""
    zone = ZoneInfo(time_zone)
    by_day: dict[int, list[Window]] = {}
    for each in windows:
        by_day.setdefault(each.weekday, []).append(each)
    day = start.astimezone(zone).date()
    last = end.astimezone(zone).date()
    found: list[Span] = []
    while day <= last:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone is set below, once for each clock time
        for each in by_day.get(day.weekday(), ()):
            begins = (midnight + timedelta(minutes=each.start_min)).replace(tzinfo=zone).astimezone(UTC)
            ends = (midnight + timedelta(minutes=each.end_min)).replace(tzinfo=zone).astimezone(UTC)
            found.append((max(begins, start), min(ends, end)))
        day += timedelta(days=1)
    return merge(found)


def merge(found: Iterable[Span]) -> list[Span]:
    """Join spans that touch or overlap, and drop empty ones."""
    merged: list[Span] = []
    for begins, ends in sorted(span for span in found if span[0] < span[1]):
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        else:
            merged.append((begins, ends))
    return merged


def without(free: Sequence[Span], taken: Iterable[Span]) -> list[Span]:
    """Return `free` minus `taken`."""
    left = list(free)
    for taken_from, taken_to in merge(taken):
        left = [
            piece
            for begins, ends in left
            for piece in ((begins, min(ends, taken_from)), (max(begins, taken_to), ends))
            if piece[0] < piece[1]
        ]
    return left


def earliest(free: Sequence[Span], not_before: datetime, duration: timedelta) -> datetime | None:
    """Return the first moment from `not_before` on at which `duration` fits into one free span."""
    for begins, ends in free:
        start = max(begins, not_before)
        if start + duration <= ends:
            return start
    return None


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    if len(hours) != 2 or len(minutes) != 2 or int(minutes) > 59:
        raise ValueError("a clock time reads HH:MM")
    return int(hours) * 60 + int(minutes)
