"""Who asks, when, and as part of which story: what every command carries from its door to the journal.

The correlation id names the story; it is on every event, ledger entry, audit row, outbox row, job and log line that one
request causes. `now` is read once, at the edge.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID


class Role(StrEnum):
    """The roles of the contract, the system itself (deadlines, detectors, jobs), and nobody known."""

    CUSTOMER = "customer"
    TECHNICIAN = "technician"
    DISPATCHER = "dispatcher"
    SUPPORT = "support"
    FINANCE = "finance"
    FOUNDER = "founder"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated person, or the system. `areas` matters for dispatchers only."""

    person_id: UUID | None
    role: Role
    areas: Literal["all"] | frozenset[UUID] = frozenset()
    family_id: UUID | None = None

    def covers(self, area_id: UUID) -> bool:
        """Tell whether this dispatcher serves that area."""
        return self.areas == "all" or area_id in self.areas


SYSTEM = Actor(person_id=None, role=Role.SYSTEM)
ANONYMOUS = Actor(person_id=None, role=Role.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key with its scope (principal and route) and the fingerprint of the canonical body."""

    principal: str
    route: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Context:
    """One request, deadline or job: who, when (aware UTC), which story, and what it promised to its caller."""

    actor: Actor
    now: datetime
    correlation_id: str
    claim: Claim | None = None
    if_match: int | None = None
    causation_id: UUID | None = None
