"""What is proved after each crash, from what people were told, what a subscriber heard, and what the database holds."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence

import aiohttp

from loadtest.api import Api, Server
from loadtest.feed import Feed
from loadtest.shapes import Account, Event, Json
from loadtest.wire import Wire
from services import verification
from storage.db import Database
from tests.e2e.crash.load import EVENT_OF, Told

OF_STORIES = """
SELECT correlation_id, type, count(*) AS times, max(seq) AS seq FROM app.booking_events
WHERE correlation_id = ANY ($1) AND actor_role <> 'system' GROUP BY correlation_id, type
"""
TOLD = """
SELECT event_id, booking_id, type FROM app.booking_events
WHERE booking_id IN (SELECT booking_id FROM app.booking_events WHERE seq = 1 AND correlation_id LIKE 'crash-%')
ORDER BY booking_id, seq
"""
UNFINISHED = """
SELECT (SELECT count(*) FROM app.payment_intents WHERE status = 'pending')
     + (SELECT count(*) FROM audit.unsealed)
"""
# What the company outside says it did, against what we say that it did.
GATEWAY_DISAGREES = """
SELECT coalesce(i.intent_id, o.intent_id)::text AS intent_id, i.kind, i.status, i.amount, o.outcome, o.amount AS theirs
FROM app.payment_intents i FULL JOIN sandbox.operations o USING (intent_id)
WHERE o.outcome = 'succeeded' AND (i.status IS DISTINCT FROM 'succeeded' OR i.amount IS DISTINCT FROM o.amount)
   OR i.status = 'succeeded' AND o.outcome IS DISTINCT FROM 'succeeded'
"""
# A hold of a booking that never came to be must have been let go, or be about to.
STRANDED = """
SELECT i.intent_id::text FROM app.payment_intents i
WHERE i.kind = 'authorize' AND i.status = 'succeeded'
  AND NOT EXISTS (SELECT FROM app.bookings b WHERE b.booking_id = i.booking_id)
  AND NOT EXISTS (SELECT FROM app.payment_intents v WHERE v.parent_id = i.intent_id)
  AND NOT EXISTS (SELECT FROM jobs.pgqueuer q
                  WHERE convert_from(q.payload, 'UTF8')::jsonb -> 'payload' ->> 'intent_id' = i.intent_id::text)
"""
NOT_TOLD = frozenset({"payment.voided"})  # kept in the truth, not among the wire's promised types


class _Dispatcher(Api):
    """A dispatcher who signed in before."""

    def __init__(self, at: Server, token: str) -> None:
        super().__init__(at, Account("dispatcher@test.example", ""), rng=random.Random(1))
        self._token = token

    async def token(self, *, fresh: bool = False) -> str:  # noqa: ARG002 - it lasts for a day
        return self._token

    def seconds_left(self) -> float:
        return 3600.0


class Subscriber:
    """Hears all bookings of the area, with cursor recovery; what came before is dropped by its `event_id`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self.heard: dict[str, Event] = {}
        self.order: dict[str, list[str]] = defaultdict(list)
        self.gaps = 0
        self.wrong: list[str] = []
        at = Server(http, url)
        self._feed = Feed(self._take, self._gap)
        self.wire = Wire(
            at, ("/bookings",), api=_Dispatcher(at, token), on_event=self._event, on_connect=self._sync,
            rng=random.Random(2),
        )  # fmt: skip

    @property
    def doubled(self) -> int:
        """How often something came again and was dropped."""
        return self._feed.doubled

    def _event(self, _namespace: str, name: str, data: Json) -> None:
        if name == "event":
            self._feed.take(data)

    async def _sync(self) -> None:
        await self._feed.sync(self.wire)

    async def _gap(self) -> None:
        self.gaps += 1

    def _take(self, event: Event) -> None:
        if event.event_id in self.heard:
            self.wrong.append(f"{event.type} of {event.booking_id} came again after dedupe")
        self.heard[event.event_id] = event
        self.order[event.booking_id].append(event.event_id)


async def whole(db: Database) -> list[str]:
    """Everything that should agree does: no gap in `seq`, fold = row, books balanced, chain whole, and the rest."""
    return [
        f"{finding.name}: {sentence}"
        for finding in await verification.verify(db)
        for sentence in finding.first
    ]


async def acknowledged(db: Database, told: Sequence[Told]) -> list[str]:
    """What was acknowledged is there exactly once; what was refused is not there."""
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    async with db.reading() as tx:
        for row in await tx.fetch(OF_STORIES, [t.correlation_id for t in told]):
            found[row["correlation_id"]][row["type"]] = (row["times"], row["seq"])
    wrong = []
    for t in told:
        events = found[t.correlation_id]
        if not t.done:
            wrong += [f"{t.name} refused as {t.code}, yet {events}"] if events else []
            continue
        times, seq = events.get(EVENT_OF[t.name], (0, 0))
        if times != 1 or not 0 <= int(t.answer["version"]) - seq <= 1:
            wrong.append(
                f"{t.name} {t.correlation_id} acknowledged at {t.answer['version']}, events {events}"
            )
    return wrong


async def heard(db: Database, subscriber: Subscriber) -> list[str]:
    """A subscriber heard every event, each once after dedupe, those of a booking in the order of their `seq`."""
    async with db.reading() as tx:
        rows = await tx.fetch(TOLD)
    wrong = [*subscriber.wrong]
    if subscriber.gaps != 1:
        wrong.append(f"the cursor was lost {subscriber.gaps - 1} times")
    expected: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["type"] not in NOT_TOLD:
            expected[str(row["booking_id"])].append(str(row["event_id"]))
    for booking_id, ids in expected.items():
        came = subscriber.order.get(booking_id, [])
        if came != ids:
            types = [subscriber.heard[event_id].type for event_id in came]
            wrong.append(f"booking {booking_id}: {len(ids)} events, heard {types}")
    return wrong


async def caught_up(db: Database, subscriber: Subscriber, within_s: float) -> list[str]:
    """Say what a subscriber still lacks after a while; nothing, as soon as it has heard everything."""
    missing: list[str] = []
    for _ in range(int(within_s / 0.2)):
        missing = await heard(db, subscriber)
        if not missing:
            break
        await asyncio.sleep(0.2)
    return missing


async def settled(db: Database, within_s: float) -> list[str]:
    """Once the jobs are done, the gateway's books and ours say the same, and no hold is forgotten."""
    async with db.reading() as tx:
        try:
            async with asyncio.timeout(within_s):
                while await tx.fetchval(UNFINISHED):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pending = await tx.fetch(
                "SELECT kind, status, attempts FROM app.payment_intents WHERE status = 'pending'"
            )
            return [f"work was left undone: {[dict(r) for r in pending]}"]
        disagree = [f"the gateway disagrees: {dict(row)}" for row in await tx.fetch(GATEWAY_DISAGREES)]
        return disagree + [f"a hold is forgotten: {row[0]}" for row in await tx.fetch(STRANDED)]
