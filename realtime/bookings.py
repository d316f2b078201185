"""`/bookings`: what happened, first all that was missed and then live, in one order.

A socket hears nothing before its `sync` answered `more: false`. While a sync reads, the relay may pass rows by: the
feed notes that, and the sync reads again before it goes live, so nothing falls between history and present.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.context import Role
from domain.refusals import Refusal
from realtime.clients import Client, Rooms
from realtime.door import Door, Hears
from realtime.messages import Sync
from realtime.wire import Wire
from services import feed
from services.feed import STAFF, Batch
from services.reply import Answer, Reply
from services.stores import Stores
from storage.outbox import START, Place

EVERYTHING = "everything"
READ_AGAIN = 5
ALERTS = "alert."  # topics that go out as `alert`, to dispatchers alone; `sync` never shows them


@dataclass(slots=True)
class Feed:
    """How far a socket is: `after` is the last place it was given; `missed` says that rows passed while it read."""

    after: Place
    live: bool = False
    missed: bool = False


class BookingsDoor(Door):
    """The namespace and the feeds of its sockets."""

    def __init__(self, stores: Stores, wire: Wire) -> None:
        super().__init__("/bookings", stores, wire)
        everybody = frozenset({Role.CUSTOMER, Role.TECHNICIAN, *STAFF})
        self.hears = {"sync": Hears(Sync, self._sync, everybody)}
        self._feeds: dict[Client, Feed] = {}
        self._rooms = Rooms()

    async def left(self, client: Client) -> None:
        """Forget a socket."""
        self._feeds.pop(client, None)
        self._rooms.leave_all(client)

    async def _sync(self, client: Client, message: Sync, _now: datetime) -> Answer:
        try:
            answer = await self._caught_up(client, message.cursor)
        finally:
            if client.ending:  # it left while we read: nobody else would take it out again
                await self.left(client)
        return Refusal("unauthenticated", "This socket has ended.") if client.ending else answer

    async def _caught_up(self, client: Client, cursor: str | None) -> Answer:
        epoch = await feed.epoch(self.stores)
        place = START if cursor is None else await feed.place_of(self.stores, cursor)
        if isinstance(place, Refusal):
            self.wire.measures.resyncs.inc()
            return place
        state = self._feeds[client] = Feed(place)  # from here on `missed` tells of what passes while we read
        self._rooms.enter(client, EVERYTHING if client.actor.role in STAFF else client.actor.person_id)
        events: list[dict[str, Any]] = []
        if cursor is None:
            state.after = await feed.head(self.stores)
            state.live = not state.missed
        for _ in range(READ_AGAIN):
            if state.live:
                break
            state.missed = False
            found = await feed.page(self.stores, client.actor, state.after, epoch)
            events += found.events
            state.after = found.place
            if found.more:
                break
            state.live = not state.missed
        if not state.live:
            self._rooms.leave_all(client)
        return Reply(
            200,
            {
                "events": events,
                "cursor": feed.encode_cursor(epoch, state.after),
                "more": not state.live,
            },
        )

    def readers(self, row: Mapping[str, Any]) -> set[Client]:
        """Return the sockets that may have to hear of a row."""
        return self._rooms.members([EVERYTHING, *row["audience"]])

    def wanted(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Tell whether anybody here may have to hear of any of these rows."""
        return bool(self._feeds) and any(self.readers(row) for row in rows)

    def deliver(self, shown: Batch) -> int:
        """Send rows to those whom they concern, each rendered once for all who see the same; return how many."""
        count = 0
        for row in shown.rows:
            place = Place(row["xid"], row["outbox_id"])
            rendered: dict[tuple[Role, UUID | None], Any] = {}
            for client in self.readers(row):
                state = self._feeds[client]
                if not state.live:
                    state.missed = True
                    continue
                if place <= state.after:
                    continue
                if row["topic"].startswith(ALERTS):
                    count += self._warn(client, row, rendered)
                    state.after = place
                    continue
                if not shown.concerns(row, client.actor):
                    continue
                key = (client.actor.role, None if client.actor.role in STAFF else client.actor.person_id)
                if key not in rendered:
                    event = shown.event(row, client.actor)
                    rendered[key] = self.wire.packet(self.namespace, "event", event) if event else None
                if rendered[key] is not None:
                    state.after = place
                    self.wire.put(client, rendered[key], "event")
                    count += 1
        return count

    def _warn(
        self, client: Client, row: Mapping[str, Any], rendered: dict[tuple[Role, UUID | None], Any]
    ) -> int:
        """Send an alert to a dispatcher of its area; its row holds the message as it is sent."""
        if client.actor.role != Role.DISPATCHER or not client.actor.covers(row["area_id"]):
            return 0
        key = (Role.DISPATCHER, None)
        if key not in rendered:
            rendered[key] = self.wire.packet(self.namespace, "alert", row["data"])
        self.wire.put(client, rendered[key], "alert")
        return 1

    def start_over(self) -> None:
        """The database lives another life: every socket has to connect and sync anew."""
        for client in tuple(self._feeds):
            self.wire.drop(client, "restart", whole=True, retry_after_ms=100)
