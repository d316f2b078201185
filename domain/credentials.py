"""What a technician must hold to do a service somewhere, and how each credential stands over the time of a visit.

Rules come down a tree of jurisdictions, federal → state → county → city. A lower level may add to what a higher one
asks and may never take away. Where nobody from the state down has said anything, nobody may work: missing rules fail
closed. An explicit empty set means "nothing is required here".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

EXPIRING_WITHIN = timedelta(days=30)
CHECK_EVERY = timedelta(days=90)

type Level = Literal["federal", "state", "county", "city"]


class Status(StrEnum):
    """How a requirement stands for one person over one interval; the order is from best to worst."""

    ACTIVE = "active"
    EXPIRING = "expiring"
    NOT_REQUIRED = "not_required"
    UNVERIFIED = "unverified"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


VALID = frozenset({Status.ACTIVE, Status.EXPIRING})
_BEST_FIRST = tuple(Status)


@dataclass(frozen=True, slots=True)
class Credential:
    """A licence, permit or certificate as submitted; `state` is what we decided about it.

    `expires_on` is the last day it is good for; None: it does not expire.
    """

    credential_id: UUID
    technician_id: UUID
    credential_type: str
    jurisdiction: str
    number: str
    issuer: str
    issued_on: date
    expires_on: date | None
    state: str
    verified_on: date | None = None
    verified_how: str | None = None
    next_check_on: date | None = None
    upload_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule of one jurisdiction. `show` names the fields of the credential view that the public may see here."""

    credential_type: str
    required: bool
    level: Level
    issuing_board: str
    lookup_url: str | None
    source: str
    as_of: date
    show: tuple[str, ...]
    title: str | None = None
    renewal_years: int | None = None
    notice: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the rule as it is stored and sent."""
        return {
            "credential_type": self.credential_type,
            "required": self.required,
            "level": self.level,
            "issuing_board": self.issuing_board,
            "lookup_url": self.lookup_url,
            "source": self.source,
            "as_of": self.as_of.isoformat(),
            "show": list(self.show),
            "title": self.title,
            "renewal_years": self.renewal_years,
            "notice": self.notice,
        }


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """A place that makes rules; `tax_bp` and `currency` are those of a quote there."""

    code: str
    parent: str | None
    name: str
    level: Level
    currency: str
    tax_bp: int
    complaint_contact: str | None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What one jurisdiction says about one service, in one version."""

    jurisdiction: str
    service: str
    version: int
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A requirement together with the jurisdiction that made it and the version that it comes from."""

    jurisdiction: str
    version: int
    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Rules:
    """All that holds for a service at a place: its own rules and the inherited ones, widest jurisdiction first."""

    service: str
    chain: tuple[str, ...]
    versions: Mapping[str, int]
    rules: tuple[Rule, ...]


def requirement(document: Mapping[str, Any]) -> Requirement:
    """Read a stored rule."""
    return Requirement(
        credential_type=document["credential_type"],
        required=document["required"],
        level=document["level"],
        issuing_board=document["issuing_board"],
        lookup_url=document["lookup_url"],
        source=document["source"],
        as_of=date.fromisoformat(document["as_of"]),
        show=tuple(document["show"]),
        title=document.get("title"),
        renewal_years=document.get("renewal_years"),
        notice=document.get("notice"),
    )


def inherit(service: str, chain: Sequence[Jurisdiction], sets: Mapping[str, RuleSet]) -> Rules | None:
    """Collect what holds at the end of `chain` (widest first); None when no state, county or city of it has a set.

    A type that a wider level requires stays required, whatever a narrower level says of it: its rule stands as its
    maker wrote it, since the credential must come from that maker.
    """
    if not any(place.level != "federal" and place.code in sets for place in chain):
        return None
    rules: list[Rule] = []
    for place in chain:
        found = sets.get(place.code)
        if found is not None:
            rules.extend(Rule(place.code, found.version, each) for each in found.requirements)
    return Rules(
        service=service,
        chain=tuple(place.code for place in chain),
        versions={place.code: sets[place.code].version for place in chain if place.code in sets},
        rules=tuple(rules),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How one rule stands for one technician: by which credential, if any."""

    rule: Rule
    status: Status
    credential: Credential | None


def status_of(credential: Credential, first_day: date, last_day: date, today: date) -> Status:
    """Tell how a credential stands over a visit from `first_day` to `last_day` (local days, both included)."""
    match credential.state:
        case "revoked":
            return Status.REVOKED
        case "suspended":
            return Status.SUSPENDED
        case "verified":
            return _by_dates(credential, first_day, last_day, today)
        case _:
            return Status.UNVERIFIED


def _by_dates(credential: Credential, first_day: date, last_day: date, today: date) -> Status:
    if credential.issued_on > first_day:
        return Status.UNVERIFIED
    if credential.expires_on is None:
        return Status.ACTIVE
    if credential.expires_on < last_day:
        return Status.EXPIRED
    return Status.EXPIRING if credential.expires_on - today <= EXPIRING_WITHIN else Status.ACTIVE


def stand(
    rules: Rules, credentials: Iterable[Credential], first_day: date, last_day: date, today: date
) -> tuple[Standing, ...]:
    """Evaluate each rule over a visit. Only a credential of the rule's own jurisdiction answers it; the best counts."""
    held = list(credentials)
    return tuple(_stand_one(rule, held, first_day, last_day, today) for rule in rules.rules)


def _stand_one(
    rule: Rule, held: Sequence[Credential], first_day: date, last_day: date, today: date
) -> Standing:
    fitting = [
        (status_of(each, first_day, last_day, today), each)
        for each in held
        if each.credential_type == rule.requirement.credential_type and each.jurisdiction == rule.jurisdiction
    ]
    if not fitting:
        return Standing(rule, Status.UNVERIFIED if rule.requirement.required else Status.NOT_REQUIRED, None)
    status, best = min(
        fitting,
        key=lambda pair: (
            _BEST_FIRST.index(pair[0]),
            -(pair[1].expires_on or date.max).toordinal(),
            pair[1].credential_id,
        ),
    )
    if not rule.requirement.required and status not in VALID:
        status = Status.NOT_REQUIRED
    return Standing(rule, status, best)


def mask(number: str, show: Iterable[str]) -> str | None:
    """Show a number as the rule allows: `number` whole, `number_last4` its last four signs, else not at all."""
    shown = set(show)
    if "number" in shown:
        return number
    if "number_last4" in shown:
        tail = number[-4:] if len(number) > 4 else number[-1:]
        return "•" * 4 + tail
    return None
