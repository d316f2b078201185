"""A person's event stream: caught up in order, heard once, healed after a gap."""

from typing import Any

from loadtest.feed import Feed
from loadtest.shapes import Event, Json
from loadtest.wire import Refused


class Script:
    """Stands for a wire: answers each `sync` with the next of its lines."""

    def __init__(self, *lines: Json | Refused) -> None:
        self.lines = list(lines)
        self.asked: list[str | None] = []

    async def call(self, _namespace: str, _event: str, data: Json) -> Json:
        """One sync."""
        self.asked.append(data["cursor"])
        line = self.lines.pop(0)
        if isinstance(line, Refused):
            raise line
        return line


class Listener:
    """A feed with what it told, and how often it asked for the truth over REST."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.gaps = 0
        self.feed = Feed(self._hear, self._gap)

    def _hear(self, event: Event) -> None:
        self.told.append(event.event_id)

    async def _gap(self) -> None:
        self.gaps += 1

    async def sync(self, script: Script) -> None:
        """Catch up with a script in place of a connection."""
        wire: Any = script
        await self.feed.sync(wire)


def event(number: int) -> Json:
    """The nth event of some booking."""
    return {
        "cursor": f"c{number}",
        "event_id": f"e{number}",
        "type": "booking.noted",
        "booking_id": "b",
        "booking": None,
    }


def page(*events: Json, cursor: str, more: bool = False) -> Json:
    """An answer to a sync."""
    return {"ok": True, "events": list(events), "cursor": cursor, "more": more}


async def test_the_first_sync_takes_the_head_and_reads_the_list() -> None:
    """No history comes at first, so the truth is read over REST."""
    listener, script = Listener(), Script(page(cursor="c5"))
    await listener.sync(script)
    assert script.asked == [None]
    assert (listener.told, listener.gaps) == ([], 1)


async def test_after_a_reconnect_everything_missed_comes_in_order() -> None:
    """The kept cursor moves with live events, and pages are asked for while there are more."""
    listener = Listener()
    await listener.sync(Script(page(cursor="c0")))
    listener.feed.take(event(1))
    script = Script(page(event(2), event(3), cursor="c3", more=True), page(event(4), cursor="c4"))
    await listener.sync(script)
    assert script.asked == ["c1", "c3"]
    assert listener.told == ["e1", "e2", "e3", "e4"]
    assert listener.gaps == 1


async def test_what_comes_twice_is_heard_once() -> None:
    """At least once on the wire is once here."""
    listener = Listener()
    await listener.sync(Script(page(cursor="c0")))
    for number in (1, 2, 1, 2, 3):
        listener.feed.take(event(number))
    assert listener.told == ["e1", "e2", "e3"]
    assert listener.feed.doubled == 2


async def test_an_expired_cursor_starts_anew_from_the_truth() -> None:
    """`cursor_expired` means: read the list, then take the head again."""
    listener = Listener()
    await listener.sync(Script(page(cursor="c0")))
    script = Script(Refused("sync", "cursor_expired"), page(cursor="c900"))
    await listener.sync(script)
    assert script.asked == ["c0", None]
    assert listener.gaps == 2
