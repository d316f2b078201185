"""A person's /bookings stream, put together so that nothing is missed and nothing is heard twice.

The first sync takes the head; after a reconnect the kept cursor brings what was missed, in order. At least once
on the wire becomes once here, by `event_id`. A cursor the server no longer knows means: read the list over REST.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from loadtest.shapes import Event, Json
from loadtest.wire import Refused, Wire

NAMESPACE = "/bookings"
MAX_PAGES = 200


class Feed:
    """Events of one person, each once. `on_event` must not block; `on_gap` re-reads the truth over REST."""

    def __init__(self, on_event: Callable[[Event], None], on_gap: Callable[[], Awaitable[None]]) -> None:
        self.heard = 0
        self.doubled = 0
        self._on_event = on_event
        self._on_gap = on_gap
        self._cursor: str | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()  # full: the oldest id goes, long after its event

    async def sync(self, wire: Wire) -> None:
        """Catch up; call after each connect. Raises `WireDown` or `Refused`."""
        first = self._cursor is None
        for _ in range(MAX_PAGES):
            try:
                answer = await wire.call(NAMESPACE, "sync", {"cursor": self._cursor})
            except Refused as refusal:
                if refusal.code != "cursor_expired" or self._cursor is None:
                    raise
                self._cursor, first = None, True
                continue
            for raw in answer.get("events") or ():
                self.take(raw)
            self._cursor = str(answer["cursor"])
            if not answer.get("more"):
                break
        if first:
            await self._on_gap()

    def take(self, raw: Json) -> None:
        """One event, live or caught up."""
        event = Event.parse(raw)
        if self._cursor is not None:
            self._cursor = event.cursor
        if event.event_id in self._seen:
            self.doubled += 1
            return
        self._seen[event.event_id] = None
        if len(self._seen) > 400:
            self._seen.popitem(last=False)
        self.heard += 1
        self._on_event(event)
