"""What a technician counts as, out of what its devices said and what its bookings say.

Precedence; the first that holds decides:
1. on the way, at the door or in service (its booking says so): `busy`, connected or not
2. no device holds a lease any more (grace and time-to-live are over): `offline`
3. the newest word of any device: that word
4. connected, but never said a word: `offline`
"""

from typing import Literal

State = Literal["available", "busy", "offline"]

STATES: frozenset[State] = frozenset({"available", "busy", "offline"})


def effective(*, engaged: bool, connected: bool, said: str | None) -> State:
    """Return the effective state; a word that is no state counts as none."""
    if engaged:
        return "busy"
    if not connected:
        return "offline"
    match said:
        case "available" | "busy" | "offline":
            return said
        case _:
            return "offline"
