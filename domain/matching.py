"""Ranking, pure and repeatable: features → weights → contributions → score → order.

Contributions are counted in millionths, so that they sum to the score exactly. Neighbours whose scores all but tie may
change places by the match's seed, which gives newcomers a chance; every such swap is logged. `replay` of what was
stored gives the same order for as long as its RANKING_VERSION is understood.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

from domain.facts import Fact

RANKING_VERSION = "2026-1"

MILLION = 1_000_000
NEAR_TIE_MICRO = 10_000

# Millionths, all together one million. A feature is a share from 0 (worst) to 1 (best).
WEIGHTS: Mapping[str, int] = {
    "nearness": 350_000,
    "soonness": 150_000,
    "rating": 200_000,
    "experience": 150_000,
    "presence": 50_000,
    "standing": 50_000,
    "practice": 50_000,
}

RATING_PRIOR_STARS = 4.3
RATING_PRIOR_COUNT = 8


@dataclass(frozen=True, slots=True)
class MatchMade(Fact):
    """Somebody asked who could come: the whole run, the cards that were shown and everybody who was left out."""

    match: Mapping[str, Any]
    candidates: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one technician for one question, before it is turned into features.

    `way_s` is the driving time from the technician's cell; `eta_s` and `distance_m` are rounded as the card shows them;
    `wait_s` is how long until the visit could begin, beyond what was asked for; `present` None when presence does not
    matter (a visit on another day).
    """

    way_s: float
    eta_s: int
    distance_m: int
    wait_s: float
    rating_sum: int
    rating_count: int
    jobs_completed: int
    wished: int
    matched: int
    present: bool | None
    expiring: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody to be ranked, by features alone."""

    technician_id: UUID
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A place in the order. `contributions` sum to `score`; `position` is as shown, `base_rank` before swaps."""

    technician_id: UUID
    features: Mapping[str, float]
    contributions: Mapping[str, float]
    score: float
    base_rank: int
    position: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Two neighbours of the base order who changed places, and how near their scores were."""

    position: int
    moved_up: UUID
    moved_down: UUID
    gap: float

    def document(self) -> dict[str, Any]:
        """Return the log entry as it is stored."""
        return {
            "position": self.position,
            "moved_up": str(self.moved_up),
            "moved_down": str(self.moved_down),
            "gap": self.gap,
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order as shown, and the swaps that made it differ from the base order."""

    order: tuple[Ranked, ...]
    swaps: tuple[Swap, ...]


def features(facts: Facts) -> dict[str, float]:
    """Turn facts into shares of 0 to 1, rounded to millionths so that JSON carries them exactly."""
    stars = (facts.rating_sum + RATING_PRIOR_STARS * RATING_PRIOR_COUNT) / (
        facts.rating_count + RATING_PRIOR_COUNT
    )
    raw = {
        "nearness": 1 / (1 + max(0.0, facts.way_s) / 1200),
        "soonness": math.exp(-max(0.0, facts.wait_s) / 3600),
        "rating": (stars - 1) / 4,
        "experience": fit(facts.wished, facts.matched),
        "presence": {None: 0.0, False: 0.0, True: 1.0}[facts.present],
        "standing": 0.5 if facts.expiring else 1.0,
        "practice": math.log1p(facts.jobs_completed) / math.log1p(500),
    }
    return {name: round(min(1.0, max(0.0, share)), 6) for name, share in raw.items()}


def fit(wished: int, matched: int) -> float:
    """Return the share of wishes that a technician fulfils; with no wishes everybody fits alike."""
    return matched / wished if wished else 1.0


def rank(candidates: Sequence[Candidate], weights: Mapping[str, int], seed: int) -> Ranking:
    """Order candidates by score. Exact ties fall by the seed, never by who came first to us."""
    scored = [(candidate, _contributions(candidate.features, weights)) for candidate in candidates]
    scored.sort(key=lambda pair: (-sum(pair[1].values()), _draw(seed, "tie", pair[0].technician_id)))
    base = list(range(len(scored)))
    shown = base.copy()
    swaps: list[Swap] = []
    place = 0
    while place + 1 < len(shown):
        upper, lower = scored[shown[place]], scored[shown[place + 1]]
        gap = sum(upper[1].values()) - sum(lower[1].values())
        pair = (upper[0].technician_id, lower[0].technician_id)
        if gap <= NEAR_TIE_MICRO and _draw(seed, "swap", *pair) & 1:
            shown[place], shown[place + 1] = shown[place + 1], shown[place]
            swaps.append(Swap(place + 1, pair[1], pair[0], gap / MILLION))
            place += 2
        else:
            place += 1
    order = tuple(
        Ranked(
            technician_id=scored[index][0].technician_id,
            features=scored[index][0].features,
            contributions={name: micro / MILLION for name, micro in scored[index][1].items()},
            score=sum(scored[index][1].values()) / MILLION,
            base_rank=index + 1,
            position=position,
        )
        for position, index in enumerate(shown, start=1)
    )
    return Ranking(order, tuple(swaps))


def replay(
    version: str, stored: Sequence[Mapping[str, Any]], weights: Mapping[str, int], seed: int
) -> Ranking:
    """Rank stored candidates (`technician_id`, `features`) again, as that version did. ValueError: unknown version."""
    if version != RANKING_VERSION:
        raise ValueError(f"ranking {version!r} is not understood by this release")
    candidates = [Candidate(UUID(str(each["technician_id"])), each["features"]) for each in stored]
    return rank(candidates, weights, seed)


def why(ranked: Ranked, facts: Facts, wishes: Sequence[str], *, now: bool, most: int = 3) -> list[str]:
    """Say in a few words what speaks for this card: its largest contributions that are worth a sentence."""
    said = {
        "nearness": f"About {facts.eta_s // 60} minutes away",
        "soonness": "Free now" if now and facts.wait_s <= 600 and not facts.present else None,
        "rating": f"Rated {facts.rating_sum / facts.rating_count:.1f} in {facts.rating_count} visits"
        if facts.rating_count >= 3 and facts.rating_sum / facts.rating_count >= 4
        else None,
        "experience": _fit_words(facts, wishes),
        "presence": "Online now" if facts.present else None,
        "practice": f"{facts.jobs_completed} visits done with us" if facts.jobs_completed >= 10 else None,
        "standing": "Licence verified and current" if not facts.expiring else None,
    }
    by_weight = sorted(ranked.contributions.items(), key=lambda pair: -pair[1])
    return [words for name, _ in by_weight if (words := said.get(name))][:most]


def _fit_words(facts: Facts, wishes: Sequence[str]) -> str | None:
    if not facts.matched:
        return None
    return (
        f"Fits {facts.matched} of {facts.wished} wishes"
        if facts.wished > 1
        else f"Fits your wish: {wishes[0].replace('_', ' ')}"
    )


def _contributions(shares: Mapping[str, float], weights: Mapping[str, int]) -> dict[str, int]:
    return {name: round(weight * shares.get(name, 0.0)) for name, weight in weights.items()}


def _draw(seed: int, purpose: str, *ids: UUID) -> int:
    digest = blake2b(f"{seed}:{purpose}".encode(), digest_size=8)
    for each in ids:
        digest.update(each.bytes)
    return int.from_bytes(digest.digest())
