"""When a person may be erased, and by which name what stays is told: a visit needs somebody who did it or had it.

Nobody is erased out of a visit that is still to come, out of what they owe, or as the last one who can approve.
"""

from dataclasses import dataclass
from uuid import UUID

from domain.context import Role
from domain.facts import Decided, Fact
from domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Standing:
    """What still holds a person: visits to come (as customer or technician), visits to pay, and other founders."""

    open_bookings: int
    unpaid: int
    other_founders: int


@dataclass(frozen=True, slots=True)
class PersonErased(Fact):
    """A person's key and personal fields are gone; `display_name` is the pseudonym that stays."""

    person_id: UUID
    display_name: str


def pseudonym(person_id: UUID, role: Role) -> str:
    """Return the name of somebody who is no more: the same wherever it is read, and telling nobody apart outside."""
    return f"Former {role} {person_id.hex[-6:]}"


def erase(person_id: UUID, role: Role, standing: Standing) -> tuple[Fact, ...] | Refusal:
    """Erase a person: `open_bookings`, `unpaid` or `last_founder` say what has to be done first."""
    if standing.open_bookings:
        return Refusal("open_bookings", "End or hand over your open visits first.",
                       extra={"open_bookings": standing.open_bookings})  # fmt: skip
    if standing.unpaid:
        return Refusal("unpaid", "A visit is not paid yet; when it is, you may go.")
    if role == Role.FOUNDER and not standing.other_founders:
        return Refusal("last_founder", "Make somebody else a founder first.")
    return (
        PersonErased(person_id, pseudonym(person_id, role)),
        Decided("person.erased", "person", str(person_id)),
    )
