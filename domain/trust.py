"""Decisions about technicians and their credentials: which may follow which, and the facts that they leave behind.

Every decision of a person is also a `Decided` fact, so that the audit trail and the change are one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from domain.availability import Window
from domain.credentials import CHECK_EVERY, Credential, RuleSet
from domain.facts import Decided, Fact
from domain.refusals import Refusal


class TechnicianStatus(StrEnum):
    """Whether a technician may work at all."""

    APPLIED = "applied"
    APPROVED = "approved"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Technician:
    """A technician as the rules see one. `display_name` belongs to the person and is never written from here."""

    technician_id: UUID
    display_name: str
    bio: str
    status: TechnicianStatus
    services: tuple[str, ...]
    experiences: tuple[str, ...]
    home_lat: float
    home_lon: float
    radius_m: int
    time_zone: str
    photo_url: str | None
    availability: tuple[Window, ...]
    member_since: date
    rating_sum: int = 0
    rating_count: int = 0
    jobs_completed: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class TechnicianWritten(Fact):
    """Somebody applied, changed a profile, or was approved, suspended, reinstated: the row as it is from now on."""

    technician: Technician


@dataclass(frozen=True, slots=True)
class CredentialWritten(Fact):
    """A credential was submitted or decided upon: the row as it is from now on."""

    credential: Credential


@dataclass(frozen=True, slots=True)
class RulesWritten(Fact):
    """A jurisdiction's rules for a service have a new version; older ones stay to explain older visits."""

    rules: RuleSet
    by: UUID | None


# decision -> (states it may follow, the state it leads to, the audit action)
CREDENTIAL_DECISIONS: Mapping[str, tuple[frozenset[str], str, str]] = {
    "verify": (frozenset({"pending"}), "verified", "credential.verified"),
    "reject": (frozenset({"pending"}), "rejected", "credential.rejected"),
    "suspend": (frozenset({"verified"}), "suspended", "credential.suspended"),
    "revoke": (frozenset({"verified", "suspended"}), "revoked", "credential.revoked"),
    "reinstate": (frozenset({"suspended"}), "verified", "credential.reinstated"),
}

TECHNICIAN_DECISIONS: Mapping[str, tuple[frozenset[TechnicianStatus], TechnicianStatus, str]] = {
    "approve": (frozenset({TechnicianStatus.APPLIED}), TechnicianStatus.APPROVED, "technician.approved"),
    "suspend": (frozenset({TechnicianStatus.APPROVED}), TechnicianStatus.SUSPENDED, "technician.suspended"),
    "reinstate": (
        frozenset({TechnicianStatus.SUSPENDED}),
        TechnicianStatus.APPROVED,
        "technician.reinstated",
    ),
}


def decide_credential(
    credential: Credential, decision: str, reason: str, how: str | None, today: date
) -> tuple[Fact, ...] | Refusal:
    """Decide about a credential, or refuse with `credential_state` when it does not stand where this may follow."""
    sources, target, action = CREDENTIAL_DECISIONS[decision]
    if credential.state not in sources:
        return Refusal(
            "credential_state", f"A {credential.state} credential cannot be taken by '{decision}'."
        )
    after = replace(credential, state=target)
    if target == "verified":
        due = today + CHECK_EVERY
        due = due if credential.expires_on is None else min(due, credential.expires_on)
        after = replace(
            after, verified_on=today, verified_how=how or credential.verified_how, next_check_on=due
        )
    data = {"technician_id": str(credential.technician_id)}
    return CredentialWritten(after), _decided(action, "credential", credential.credential_id, reason, data)


def decide_technician(technician: Technician, decision: str, reason: str) -> tuple[Fact, ...] | Refusal:
    """Approve, suspend or reinstate, or refuse with `credential_state`."""
    sources, target, action = TECHNICIAN_DECISIONS[decision]
    if technician.status not in sources:
        return Refusal(
            "credential_state", f"A technician who is {technician.status} cannot be taken by '{decision}'."
        )
    after = replace(technician, status=target, version=technician.version + 1)
    return TechnicianWritten(after), _decided(action, "technician", technician.technician_id, reason, {})


def _decided(action: str, kind: str, subject_id: UUID, reason: str, data: Mapping[str, str]) -> Decided:
    return Decided(action, kind, str(subject_id), reason, data)
