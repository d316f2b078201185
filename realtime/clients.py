"""One client is one person (or share link) on one namespace; rooms are sets of clients.

Leaving costs as much as a client's own rooms, however many others there are.
"""

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from domain.context import Actor

BURST = 60.0
MESSAGES_PER_S = 20.0

type Room = Hashable


@dataclass(slots=True)
class Bucket:
    """How much a connection may say, all its namespaces together; joining anew does not fill it."""

    tokens: float = BURST
    taken_at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        """Take one message; False when there were too many."""
        now = time.monotonic()
        self.tokens = min(BURST, self.tokens + (now - self.taken_at) * MESSAGES_PER_S)
        self.taken_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True, slots=True)
class Share:
    """A link whose holder watches one booking."""

    share_id: UUID
    booking_id: UUID


@dataclass(slots=True, eq=False, kw_only=True)
class Client:
    """A connected socket. `expires_at`: when its token runs out, in seconds since the epoch (None: a share link)."""

    sid: str
    eio_sid: str
    namespace: str
    actor: Actor
    expires_at: float | None
    share: Share | None = None
    ending: bool = False
    rooms: set[Room] = field(default_factory=set)


class Rooms:
    """Who is in which room of one namespace."""

    def __init__(self) -> None:
        self._members: dict[Room, set[Client]] = {}

    def enter(self, client: Client, room: Room) -> None:
        """Put a client into a room; twice is once."""
        self._members.setdefault(room, set()).add(client)
        client.rooms.add(room)

    def leave(self, client: Client, room: Room) -> None:
        """Take a client out of a room."""
        client.rooms.discard(room)
        members = self._members.get(room)
        if members is not None:
            members.discard(client)
            if not members:
                del self._members[room]

    def leave_all(self, client: Client) -> None:
        """Take a client out of all its rooms."""
        for room in tuple(client.rooms):
            self.leave(client, room)

    def members(self, rooms: Iterable[Room]) -> set[Client]:
        """Return everybody in any of these rooms, each once."""
        found: set[Client] = set()
        for room in rooms:
            found |= self._members.get(room, set())
        return found

    def __contains__(self, room: Room) -> bool:
        return room in self._members
