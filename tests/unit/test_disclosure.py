"""What a watcher may know, and how often a phone is asked."""

from domain.disclosure import freshness, phase, precision
from domain.sampling import wanted


def test_exact_only_shortly_before_arrival() -> None:
    """The exact place is for the last twenty minutes, or once near; without an estimate it stays an area."""
    assert precision(eta_s=1200, near=False, exact_within_s=1200) == "exact"
    assert precision(eta_s=1201, near=False, exact_within_s=1200) == "area"
    assert precision(eta_s=None, near=False, exact_within_s=1200) == "area"
    assert precision(eta_s=None, near=True, exact_within_s=1200) == "exact"
    assert precision(eta_s=10, near=True, exact_within_s=1200, hidden=True) == "hidden"


def test_freshness_falls_with_age() -> None:
    """A position is live, then delayed, then lost, with inclusive limits."""
    worth = [freshness(age, fresh_within_s=20, lost_after_s=90) for age in (0, 20, 20.1, 90, 90.1)]
    assert worth == ["live", "live", "delayed", "delayed", "lost"]


def test_phases_follow_the_booking() -> None:
    """Near is a part of the way; whatever is not on the way or there is waiting."""
    assert phase("en_route", near=False) == "en_route"
    assert phase("en_route", near=True) == "near"
    assert phase("in_service", near=True) == "arrived"
    assert phase("requested", near=False) == phase("cancelled", near=False) == "waiting"


def test_phones_are_asked_more_when_it_matters() -> None:
    """Close to the door every two seconds, watched three, otherwise rarer; a low battery halves it."""
    assert wanted(remaining_m=800, watched=False, battery=None).interval_s == 2
    assert wanted(remaining_m=5_000, watched=True, battery=None).interval_s == 3
    assert wanted(remaining_m=5_000, watched=False, battery=None).interval_s == 5
    assert wanted(remaining_m=30_000, watched=False, battery=None).interval_s == 10
    assert wanted(remaining_m=5_000, watched=True, battery=0.1).interval_s == 6
