"""The gate: may this technician do this service, there and then? Asked at discovery, accept, depart and start.

It opens only for an approved technician whose every required credential is verified and valid to the END of the visit,
within the technician's radius. Whatever is unknown keeps it shut. What it relied on is handed back as evidence, without
names, numbers or places, so that it may be kept with the booking for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.credentials import VALID, Credential, Rules, Standing, Status, stand
from domain.trust import Technician, TechnicianStatus


@dataclass(frozen=True, slots=True)
class Visit:
    """What is asked for: a service from `starts_at` to `ends_at`; `distance_m` None when the place is not at hand."""

    service: str
    starts_at: datetime
    ends_at: datetime
    distance_m: float | None


@dataclass(frozen=True, slots=True)
class Passed:
    """The gate is open; `evidence` is JSON-ready."""

    evidence: dict[str, Any]
    standings: tuple[Standing, ...] = ()

    @property
    def status(self) -> Status:
        """Return `expiring` when a required credential soon ends, else `active`."""
        soon = any(each.status == Status.EXPIRING for each in required(self.standings))
        return Status.EXPIRING if soon else Status.ACTIVE


@dataclass(frozen=True, slots=True)
class Stopped:
    """The gate is shut: `gate` names the first that stopped, `missing` what would open it."""

    gate: str
    missing: tuple[str, ...] = ()


def check(
    technician: Technician,
    rules: Rules | None,
    credentials: Sequence[Credential],
    visit: Visit,
    now: datetime,
) -> Passed | Stopped:
    """Ask every gate in its order; days are days of the technician's time zone."""
    if technician.status != TechnicianStatus.APPROVED:
        return Stopped("not_approved", ("approval",))
    if visit.service not in technician.services:
        return Stopped("service_not_offered", (visit.service,))
    if visit.distance_m is not None and not visit.distance_m <= technician.radius_m:
        return Stopped("outside_radius")
    if rules is None:
        return Stopped("no_rules", ("rules",))
    zone = ZoneInfo(technician.time_zone)
    standings = stand(
        rules, credentials, _day(visit.starts_at, zone), _day(visit.ends_at, zone), _day(now, zone)
    )
    missing = tuple(
        f"{each.rule.requirement.credential_type}@{each.rule.jurisdiction}:{each.status}"
        for each in required(standings)
        if each.status not in VALID
    )
    if missing:
        return Stopped("credentials", missing)
    return Passed(_evidence(rules, standings, visit, now), standings)


def required(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return the standings of what the rules require."""
    return tuple(each for each in standings if each.rule.requirement.required)


def _evidence(rules: Rules, standings: Sequence[Standing], visit: Visit, now: datetime) -> dict[str, Any]:
    return {
        "service": visit.service,
        "jurisdictions": list(rules.chain),
        "rule_versions": dict(rules.versions),
        "checked_at": _stamp(now),
        "valid_until": _stamp(visit.ends_at),
        "credentials": [
            {
                "credential_id": str(each.credential.credential_id),
                "credential_type": each.rule.requirement.credential_type,
                "jurisdiction": each.rule.jurisdiction,
                "status": each.status.value,
                "expires_on": each.credential.expires_on.isoformat() if each.credential.expires_on else None,
                "verified_on": each.credential.verified_on.isoformat()
                if each.credential.verified_on
                else None,
            }
            for each in required(standings)
            if each.credential is not None
        ],
    }


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
