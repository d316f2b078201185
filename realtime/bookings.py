"""`/bookings`: what happened, first all that was missed and then live, in one order.

A socket hears nothing before its `sync` answered `more: false`. While a sync reads, the relay may pass rows by: the
feed notes that, and the sync reads again before it goes live, so nothing falls between history and present.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from services.feed import STAFF, Batch, concerns
from services.reply import Answer, Reply
from services.stores import Stores
from storage.outbox import START, Place

EVERYTHING = "everything"
READ_AGAIN = 5
ALERTS = "alert."  # topics that go out as `alert`, to dispatchers alone; `sync` never shows them

type Rendered = dict[tuple[Role, UUID | None], Any]


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
            if isinstance(found, Refusal):
                await self.left(client)
                self.wire.measures.resyncs.inc()
                return found
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

    def deliver(self, shown: Batch) -> Iterator[tuple[UUID, int]]:
        """Send rows to those whom they concern, each rendered once for all who see the same.

        Yields each row's event and how many sockets it was put to, where there were any.
        """
        for row in shown.rows:
            place = Place(row["xid"], row["outbox_id"])
            show = self._alert if row["topic"].startswith(ALERTS) else self._event
            rendered: Rendered = {}
            count = 0
            for client in self.readers(row):
                state = self._feeds[client]
                if not state.live:
                    state.missed = True
                    continue
                if place <= state.after:
                    continue
                if show(client, row, shown, rendered):
                    state.after = place
                    count += 1
            if count:
                yield row["event_id"], count

    def _event(self, client: Client, row: Mapping[str, Any], shown: Batch, rendered: Rendered) -> bool:
        if not concerns(row, client.actor):
            return False
        key = (client.actor.role, None if client.actor.role in STAFF else client.actor.person_id)
        if key not in rendered:
            event = shown.event(row, client.actor)
            rendered[key] = self.wire.packet(self.namespace, "event", event) if event else None
        if rendered[key] is None:
            return False
        self.wire.put(client, rendered[key], "event")
        return True

    def _alert(self, client: Client, row: Mapping[str, Any], _shown: Batch, rendered: Rendered) -> bool:
        """Send an alert to a dispatcher of its area; its row holds the message as it is sent."""
        if client.actor.role != Role.DISPATCHER or not client.actor.covers(row["area_id"]):
            return False
        key = (Role.DISPATCHER, None)
        if key not in rendered:
            rendered[key] = self.wire.packet(self.namespace, "alert", row["data"])
        self.wire.put(client, rendered[key], "alert")
        return True

    def start_over(self, row: Mapping[str, Any] | None = None) -> None:
        """Send every socket away, or those whom a row concerns, to connect and sync anew."""
        for client in tuple(self._feeds) if row is None else self.readers(row):
            if row is None or concerns(row, client.actor):
                self.wire.drop(client, "restart", whole=True, retry_after_ms=100)
