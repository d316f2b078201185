"""The licences of the demo's technicians, in every state that a licence can be in, by the rules of where they work."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from app.seeds.ids import seeded_id
from app.seeds.people import Worker
from app.seeds.rules import RULES
from domain.credentials import CHECK_EVERY, Credential, Requirement

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
LOOKED_UP = "Looked up in the board's public register"
SAW_CARD = "Certificate seen, number confirmed with its issuer"


def licences(worker: Worker, today: date) -> Sequence[Credential]:
    """Make what a technician handed in: one licence for each rule of each service, as the worker's standing says."""
    made: dict[tuple[str, str], Credential] = {}
    for service in worker.services:
        for jurisdiction in ("US", worker.licensed_in):
            for rule in RULES.get((jurisdiction, service), ()):
                # A federal certificate is good whatever is the matter with the state's licence.
                how = "valid" if jurisdiction == "US" else worker.standing.licences
                made[jurisdiction, rule.credential_type] = _licence(worker, jurisdiction, rule, how, today)
    return tuple(made.values())


def _licence(worker: Worker, jurisdiction: str, rule: Requirement, how: str, today: date) -> Credential:
    name = f"{worker.person.email} {jurisdiction} {rule.credential_type}"
    chance = random.Random(f"licence {name}")
    years = rule.renewal_years
    earliest = worker.member_since + timedelta(days=1)
    verified_on = max(earliest, today - timedelta(days=chance.randint(5, 60)))
    expires_on = None if years is None else today + timedelta(days=400 + chance.randint(0, 300))
    credential = Credential(
        credential_id=seeded_id("credential", name),
        technician_id=worker.person.person_id,
        credential_type=rule.credential_type,
        jurisdiction=jurisdiction,
        number=f"{chance.choice(LETTERS)}{chance.choice(LETTERS)}-{chance.randint(100_000, 999_999)}",
        issuer=rule.issuing_board,
        issued_on=(expires_on or today) - timedelta(days=365 * (years or 4) + 300),
        expires_on=expires_on,
        state="verified",
        verified_on=verified_on,
        verified_how=LOOKED_UP if rule.lookup_url else SAW_CARD,
        next_check_on=verified_on + CHECK_EVERY,
    )
    match how:
        case "expiring":
            return replace(credential, expires_on=today + timedelta(days=chance.randint(6, 25)))
        case "expired":
            ended = today - timedelta(days=chance.randint(3, 60))
            return replace(credential, expires_on=ended, next_check_on=ended)
        case "pending" | "unverified":
            return replace(
                credential, state="pending", verified_on=None, verified_how=None, next_check_on=None
            )
        case "rejected":
            return replace(
                credential, state="rejected", verified_on=None, verified_how=None, next_check_on=None
            )
        case "suspended" | "revoked":
            return replace(credential, state=how)
        case _:
            return credential
