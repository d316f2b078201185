"""What a customer sees of a technician: rounded ways, a frozen quote, how the licences stand, and a few reasons.

A card as stored holds ids and numbers; the name and the photo are laid over it when it is read, so that erasing a
person reaches every match. Distances are rounded up to 500 m and times to 5 minutes: nobody finds a home by asking.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import pricing
from domain.booking import Price
from domain.credentials import Standing
from domain.gate import Passed, required
from domain.matching import Facts, Ranked, fit, why
from domain.trust import Technician
from services.booking_view import stamp

DISTANCE_STEP_M = 500
ETA_STEP_S = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What a card answers: the wishes, and whether the visit is to be now."""

    wishes: Sequence[str]
    now: bool


def distance_shown_m(distance_m: float) -> int:
    """Round up to the next 500 m."""
    return max(1, math.ceil(distance_m / DISTANCE_STEP_M)) * DISTANCE_STEP_M


def eta_shown_s(eta_s: float) -> int:
    """Round up to the next five minutes."""
    return max(1, math.ceil(eta_s / ETA_STEP_S)) * ETA_STEP_S


def quoted(base_amount: int, distance_m: int, currency: str, tax_bp: int) -> Price:
    """Quote a visit from the distance that the card shows."""
    return pricing.quote(base_amount, distance_m, currency=currency, tax_bp=tax_bp)


def frozen(quote: Price) -> dict[str, Any]:
    """Return a quote as it is kept with the match."""
    return asdict(quote)


def made(
    card_id: UUID, asked: Asked, place: Ranked, technician: Technician, passed: Passed, facts: Facts,
    starts_at: datetime, quote: Price,
) -> dict[str, Any]:  # fmt: skip
    """Make a card as it is kept: without the technician's name and photo."""
    return {
        "card_id": str(card_id),
        "position": place.position,
        "technician": reputation(technician),
        "experience_fit": {
            "matched": [wish for wish in asked.wishes if wish in technician.experiences],
            "score": round(fit(facts.wished, facts.matched), 3),
        },
        "trust": trust(passed),
        "distance_m": facts.distance_m,
        "eta_s": facts.eta_s,
        "earliest_start": stamp(starts_at),
        "price": priced(quote),
        "why": why(place, facts, asked.wishes, now=asked.now),
    }


def named(card: Mapping[str, Any], display_name: str, photo_url: str | None) -> dict[str, Any]:
    """Lay the technician's name and photo over a stored card."""
    person = {**card["technician"], "display_name": display_name, "photo_url": photo_url}
    return {**card, "technician": person}


def reputation(technician: Technician) -> dict[str, Any]:
    """Return what customers earned a technician; `rating` is null before the first star."""
    count = technician.rating_count
    return {
        "technician_id": str(technician.technician_id),
        "rating": round(technician.rating_sum / count, 2) if count else None,
        "rating_count": count,
        "jobs_completed": technician.jobs_completed,
        "member_since": technician.member_since.isoformat(),
    }


def trust(passed: Passed) -> dict[str, Any]:
    """Return how the licences stand: the first to end, and the check that is longest ago."""
    relied_on = [each for each in required(passed.standings) if each.credential is not None]
    ends = [
        each.credential.expires_on for each in relied_on if each.credential and each.credential.expires_on
    ]
    checks = [
        each.credential.verified_on for each in relied_on if each.credential and each.credential.verified_on
    ]
    return {
        "status": str(passed.status),
        "expires_on": min(ends).isoformat() if ends else None,
        "verified_on": min(checks).isoformat() if checks else None,
        "signals": [_signal(each) for each in relied_on] or ["No licence is required for this service here"],
    }


def priced(quote: Price) -> dict[str, Any]:
    """Return a quote as the contract words it."""
    parts = ("base", "travel", "tax", "total")
    return {part: {"amount": getattr(quote, part), "currency": quote.currency} for part in parts}


def _signal(standing: Standing) -> str:
    rule = standing.rule.requirement
    title = rule.title or rule.credential_type.replace("_", " ")
    checked = standing.credential.verified_on if standing.credential else None
    return f"{title} checked on {checked:%B} {checked.day}, {checked.year}" if checked else title
