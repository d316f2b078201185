"""What decisions say happened. A fact is written by `storage.journal.record`, in one transaction, or not at all.

Each floor-mate adds its own facts in its own module (`domain/booking_events.py`, `domain/ledger.py`, ...); this module
holds the ones that every subject shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened, in the past tense. Subclasses are frozen.

    `leads`: what is recorded after it in the same list follows from it, and says so by its `causation_id`.
    """

    leads: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Decided(Fact):
    """A person decided: an approval, an override, a trust decision, an adjustment, access to a track.

    Becomes one audit row. `data` holds ids and numbers only, no names and no positions.
    """

    action: str
    subject_kind: str
    subject_id: str
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobWanted(Fact):
    """Something is to be done later: `name` is a registered job, `run_at` None means as soon as possible."""

    name: str
    payload: Mapping[str, Any]
    run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replied(Fact):
    """The answer that an Idempotency-Key gets for 24 h, written with the work that it answers for.

    `sealed`: the body under the key of the person who asked, since it may hold an address.
    """

    status: int
    sealed: bytes | None
    booking_id: UUID | None = None
