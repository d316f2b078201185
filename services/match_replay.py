"""A match ranked again from what was stored, to show that its order was no accident."""

from dataclasses import dataclass
from uuid import UUID

from domain.matching import replay
from storage import matches
from storage.db import Tx


@dataclass(frozen=True, slots=True)
class Replayed:
    """Whether the order came out the same; one line for each ranked candidate, in the order shown."""

    same: bool
    lines: tuple[str, ...]
    swaps: int


async def replayed(tx: Tx, match_id: UUID) -> Replayed | None:
    """Rank a stored match again; None when there is no such match. ValueError: another release ranked it."""
    match = await matches.get(tx, match_id)
    if match is None:
        return None
    ranked = [each for each in await matches.candidates(tx, match_id) if each["position"] is not None]
    again = replay(match.ranking_version, [dict(each) for each in ranked], match.weights, match.seed)
    shown = [each["technician_id"] for each in ranked]
    same_order = [each.technician_id for each in again.order] == shown
    same_scores = [each.score for each in again.order] == [each["score"] for each in ranked]
    same_swaps = [swap.document() for swap in again.swaps] == match.swaps
    lines = tuple(f"{each.position:>3}  {each.score:.6f}  {each.technician_id}" for each in again.order)
    return Replayed(same_order and same_scores and same_swaps, lines, len(again.swaps))
