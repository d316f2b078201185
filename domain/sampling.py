"""How often a phone is asked for its place: closer when it matters to somebody, rarer when the battery ends.

The answer travels in every acknowledgement, so a phone needs no rules of its own.
"""

from typing import NamedTuple

NEAR_M = 1_500.0
FAR_M = 15_000.0
LOW_BATTERY = 0.15


class Sampling(NamedTuple):
    """Send at most every `interval_s` seconds, and not before the phone moved `min_move_m` metres."""

    interval_s: int
    min_move_m: int


CLOSED = Sampling(60, 200)


def wanted(*, remaining_m: float | None, watched: bool, battery: float | None) -> Sampling:
    """Return what is wanted of a phone on its way."""
    if remaining_m is not None and remaining_m <= NEAR_M:
        sampling = Sampling(2, 5)
    elif watched:
        sampling = Sampling(3, 10)
    elif remaining_m is not None and remaining_m > FAR_M:
        sampling = Sampling(10, 50)
    else:
        sampling = Sampling(5, 20)
    if battery is not None and battery < LOW_BATTERY:
        return Sampling(sampling.interval_s * 2, sampling.min_move_m * 2)
    return sampling
