"""The shape of a rule that the whole database must keep."""

from typing import NamedTuple


class Rule(NamedTuple):
    """`holds` is what is always true; `counted` counts what is looked at; `broken` finds (subject, why)."""

    name: str
    holds: str
    counted: str
    broken: str
