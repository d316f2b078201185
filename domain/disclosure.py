"""How exactly a watcher may know where a technician is, and how much a known position is still worth.

A customer learns the street only when the technician is about to come: before that a cell of about a kilometre, so that
nobody's day can be followed. What holds: without an estimate of arrival the exact place is not shown.
"""

from typing import Literal

Precision = Literal["exact", "area", "hidden"]
Freshness = Literal["live", "delayed", "lost"]
Phase = Literal["waiting", "en_route", "near", "arrived"]

STAGES: tuple[Freshness, ...] = ("live", "delayed", "lost")


def precision(*, eta_s: float | None, near: bool, exact_within_s: float, hidden: bool = False) -> Precision:
    """Return how a position may be shown to a customer or to the holder of a share link."""
    if hidden:
        return "hidden"
    if near or (eta_s is not None and eta_s <= exact_within_s):
        return "exact"
    return "area"


def freshness(age_s: float, *, fresh_within_s: float, lost_after_s: float) -> Freshness:
    """Return what a position of this age is worth."""
    if age_s <= fresh_within_s:
        return "live"
    return "delayed" if age_s <= lost_after_s else "lost"


def phase(state: str, *, near: bool) -> Phase:
    """Return the phase of a visit that its watchers see."""
    match state:
        case "en_route":
            return "near" if near else "en_route"
        case "arrived" | "in_service" | "completed" | "no_show":
            return "arrived"
        case _:
            return "waiting"
