"""Customers and holders of share links, each watching one arrival: newest only, and only while the leg is theirs.

What always holds: a position is sent on only while its session is the booking's present one; a reader that is still
busy with an earlier message gets the newest when it is ready, and never an older one; whoever watches hears `ended`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from realtime.clients import Client
from realtime.wire import Wire
from services.live_position import LivePosition
from services.policy import Policy
from services.watching import LegNow, as_watched

MAX_WATCHES = 10
ENDS = {"requested": "reassigned", "accepted": "reassigned", "in_service": "arrived", "completed": "arrived"}


@dataclass(slots=True)
class Audience:
    """Who watches one booking, the leg as it was last looked up, and its newest position."""

    leg: LegNow
    clients: set[Client] = field(default_factory=set)
    position: LivePosition | None = None


class Arrivals:
    """All audiences of this process."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._wire = wire
        self._policy = policy
        self._audiences: dict[UUID, Audience] = {}
        self._watching: dict[Client, set[UUID]] = {}
        self._waiting: dict[
            Client, set[UUID]
        ] = {}  # bookings whose newest position a busy reader has yet to get

    def watched(self, booking_id: UUID) -> bool:
        """Tell whether anybody here watches this booking."""
        return booking_id in self._audiences

    def booking_ids(self) -> set[UUID]:
        """Return the bookings that are watched here."""
        return set(self._audiences)

    def may_watch_more(self, client: Client, booking_id: UUID) -> bool:
        """Tell whether a client has a watch left."""
        own = self._watching.get(client, set())
        return booking_id in own or len(own) < MAX_WATCHES

    def watch(self, client: Client, leg: LegNow, position: LivePosition | None) -> dict[str, Any]:
        """Start to watch. Returns how the arrival stands: phase, position and freshness."""
        audience = self._audiences.get(leg.booking_id)
        if audience is None:
            audience = self._audiences[leg.booking_id] = Audience(leg)
        audience.leg = leg
        audience.clients.add(client)
        self._watching.setdefault(client, set()).add(leg.booking_id)
        if (
            position is not None
            and position.session_id == leg.session_id
            and _newer(position, audience.position)
        ):
            audience.position = position
        return self._stands(audience)

    def unwatch(self, client: Client, booking_id: UUID) -> None:
        """Stop watching one booking."""
        self._watching.get(client, set()).discard(booking_id)
        self._waiting.get(client, set()).discard(booking_id)
        audience = self._audiences.get(booking_id)
        if audience is not None:
            audience.clients.discard(client)
            if not audience.clients:
                del self._audiences[booking_id]

    def left(self, client: Client) -> None:
        """A client is gone."""
        for booking_id in tuple(self._watching.get(client, ())):
            self.unwatch(client, booking_id)
        self._watching.pop(client, None)
        self._waiting.pop(client, None)

    def moved(self, position: LivePosition) -> bool:
        """Send a newer position to its audience; False when the leg must be looked up first."""
        audience = self._audiences.get(position.booking_id)
        if audience is None:
            return True
        if audience.leg.session_id != position.session_id:
            return False
        if _newer(position, audience.position):
            audience.position = position
            self._send(audience)
        return True

    def aged(self, booking_id: UUID) -> None:
        """A position is worth less than it was: its watchers hear of it though nothing arrived."""
        audience = self._audiences.get(booking_id)
        if audience is not None and audience.position is not None:
            self._send(audience)

    def looked_up(self, leg: LegNow, reason: str | None = None) -> None:
        """The leg as it is now: tells the end of the one before, and takes up the next."""
        audience = self._audiences.get(leg.booking_id)
        if audience is None:
            return
        before, audience.leg = audience.leg, leg
        if before.session_id is not None and before.session_id != leg.session_id:
            audience.position = None
            if reason is None:
                reason = "reassigned" if leg.session_id is not None else ENDS.get(leg.state, leg.state)
            ended = {"booking_id": str(leg.booking_id), "reason": reason}
            self._wire.send(tuple(audience.clients), "ended", ended)

    def flush(self) -> None:
        """Give readers that have caught up the newest of what they missed."""
        for client in [client for client in self._waiting if not self._wire.busy(client)]:
            for booking_id in self._waiting.pop(client):
                audience = self._audiences.get(booking_id)
                if audience is not None and audience.position is not None and client in audience.clients:
                    self._wire.send([client], "position", self._shown(audience.position))

    def _send(self, audience: Audience) -> None:
        if audience.position is None:
            return
        ready = []
        for client in audience.clients:
            if self._wire.busy(client):
                self._waiting.setdefault(client, set()).add(audience.leg.booking_id)
                self._wire.measures.held_back.inc()
            else:
                ready.append(client)
        if ready:
            self._wire.send(ready, "position", self._shown(audience.position))

    def _shown(self, position: LivePosition) -> dict[str, Any]:
        return as_watched(position, self._policy, datetime.now(UTC))

    def _stands(self, audience: Audience) -> dict[str, Any]:
        if audience.position is None or audience.leg.session_id is None:
            return {"phase": audience.leg.phase, "position": None, "freshness": None}
        shown = self._shown(audience.position)
        return {"phase": shown["phase"], "position": shown, "freshness": shown["freshness"]}


def _newer(position: LivePosition, than: LivePosition | None) -> bool:
    return than is None or than.session_id != position.session_id or position.n > than.n
