"""The credential view: what somebody who opens a door may know of the licences of the one who stands before it.

Of each rule that holds at a place it says how it stands for this person: which board, how and when it was verified,
where to look it up and where to complain. What is shown of a licence is the rule's own `show`, so it differs by place.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.context import Context, Role
from domain.credentials import Credential, Jurisdiction, Rules, Standing, Status, inherit, mask, stand
from domain.gate import required
from domain.refusals import FieldError, Refusal
from domain.trust import Technician, TechnicianStatus
from services.booking_view import stamp
from services.catalogue import unknown_service
from services.reply import Answer, Reply
from services.stores import Stores
from storage import catalogue, credentials, technicians

SEE_EVERYBODY = frozenset({Role.FOUNDER, Role.SUPPORT})
BY_RULE = ("issued_on", "expires_on", "verified_on", "verified_how", "next_check_on")


async def view(
    stores: Stores, technician_id: UUID, jurisdiction: str, service: str, context: Context
) -> Answer:
    """Show how a technician stands, today, by every rule that holds for a service at a place."""
    async with stores.db.reading() as tx:
        technician = await technicians.get(tx, technician_id)
        if technician is None or not may_see(technician, context):
            return Refusal("not_found", "There is no such technician.")
        if await catalogue.service(tx, service) is None:
            return unknown_service("query/service")
        chain = await catalogue.chain(tx, jurisdiction)
        if not chain:
            error = FieldError("query/jurisdiction", "unknown", "There is no such jurisdiction.")
            return Refusal("validation", "There is no such jurisdiction.", (error,))
        sets = await catalogue.rule_sets(tx, [each.code for each in chain], service)
        held = await credentials.of_technician(tx, technician_id)
    rules = inherit(service, chain, sets)
    today = context.now.astimezone(ZoneInfo(technician.time_zone)).date()
    return Reply(200, _view(technician, chain, rules, service, held, today) | {"as_of": stamp(context.now)})


def may_see(technician: Technician, context: Context) -> bool:
    """Tell whether this reader may see this technician at all: strangers see those who may work, or did."""
    if context.actor.role in SEE_EVERYBODY or context.actor.person_id == technician.technician_id:
        return True
    return technician.status != TechnicianStatus.APPLIED


def _view(
    technician: Technician, chain: Sequence[Jurisdiction], rules: Rules | None, service: str,
    held: Sequence[Credential], today: date,
) -> dict[str, Any]:  # fmt: skip
    standings = stand(rules, held, today, today, today) if rules else ()
    by_code = {each.code: each for each in chain}
    good = (
        technician.status == TechnicianStatus.APPROVED
        and rules is not None
        and service in technician.services
    )
    qualified = good and all(each.status in (Status.ACTIVE, Status.EXPIRING) for each in required(standings))
    return {
        "technician": {
            "technician_id": str(technician.technician_id),
            "display_name": technician.display_name,
            "photo_url": technician.photo_url,
        },
        "jurisdiction": chain[-1].code,
        "jurisdiction_name": chain[-1].name,
        "service": service,
        "qualified": qualified,
        "rules_known": rules is not None,
        "services_allowed": list(technician.services) if qualified else [],
        "complaint_contact": _complaint(chain),
        "rule_versions": dict(rules.versions) if rules else {},
        "items": [_item(each, by_code[each.rule.jurisdiction]) for each in standings],
    }


def _item(standing: Standing, maker: Jurisdiction) -> dict[str, Any]:
    rule, credential = standing.rule.requirement, standing.credential
    seen: dict[str, Any] = dict.fromkeys(BY_RULE)
    number = None
    if credential is not None:
        number = mask(credential.number, rule.show)
        for name in set(BY_RULE).intersection(rule.show):
            value = getattr(credential, name)
            seen[name] = value.isoformat() if isinstance(value, date) else value
    return {
        "credential_type": rule.credential_type,
        "title": rule.title or rule.credential_type.replace("_", " ").capitalize(),
        "required": rule.required,
        "status": str(standing.status),
        "level": rule.level,
        "jurisdiction": maker.code,
        "jurisdiction_name": maker.name,
        "issuing_board": rule.issuing_board,
        "lookup_url": rule.lookup_url,
        "complaint_contact": maker.complaint_contact,
        "renewal_years": rule.renewal_years,
        "notice": rule.notice,
        "number": number,
        **seen,
        "shown": list(rule.show),
        "source": rule.source,
        "as_of": rule.as_of.isoformat(),
    }


def _complaint(chain: Sequence[Jurisdiction]) -> str | None:
    return next((each.complaint_contact for each in reversed(chain) if each.complaint_contact), None)
