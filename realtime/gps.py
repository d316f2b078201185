"""`/gps`: phones send fixes, customers and holders of links watch an arrival, dispatchers watch the map."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.context import Role
from domain.refusals import FieldError, Refusal
from geo.track import Fix
from realtime.clients import Client
from realtime.door import Door, Hears
from realtime.fanout import Fanout
from realtime.messages import Fixes, FixItem, Nothing, Watch, WatchMap
from realtime.wire import Wire
from services import tracking, watching
from services.journeys import Journeys, ms
from services.reply import Answer, Reply
from services.stores import Stores
from services.tracking import FixBatch

PHONES = frozenset({Role.TECHNICIAN})
CUSTOMERS = frozenset({Role.CUSTOMER})
DISPATCHERS = frozenset({Role.DISPATCHER})


class GpsDoor(Door):
    """The namespace of positions."""

    takes_shares = True

    def __init__(self, stores: Stores, wire: Wire, fanout: Fanout) -> None:
        super().__init__("/gps", stores, wire)
        self._fanout = fanout
        self.journeys = Journeys(stores, watched=fanout.arrivals.watched, superseded=self._superseded)
        fanout.journeys = self.journeys
        self.hears = {
            "fix": Hears(Fixes, self._fix, PHONES, strict=True),
            "watch": Hears(Watch, self._watch, CUSTOMERS, shares=True, strict=True),
            "unwatch": Hears(Watch, self._unwatch, CUSTOMERS, shares=True, strict=True),
            "watch_map": Hears(WatchMap, self._watch_map, DISPATCHERS, strict=True),
            "unwatch_map": Hears(Nothing, self._unwatch_map, DISPATCHERS, strict=True),
        }

    async def left(self, client: Client) -> None:
        """Forget a socket."""
        self._fanout.arrivals.left(client)
        self._fanout.fleet.left(client)

    async def _fix(self, client: Client, message: Fixes, now: datetime) -> Answer:
        fixes, malformed = parse(message.fixes)
        if malformed is None:
            wrong = FieldError("/fixes", "seq", "Each fix needs an integer seq of at least 0.")
            return Refusal("validation", "The message is not well formed.", (wrong,))
        batch = FixBatch(message.session_id, message.device_id, fixes, malformed)
        answer = await tracking.ingest(self.stores, self.journeys, client.actor, client.sid, batch, now)
        if isinstance(answer, Reply):
            for verdict, count in answer.body["counts"].items():
                if count:
                    self.wire.measures.fixes.labels(verdict).inc(count)
        return answer

    def _superseded(self, connection: str, session_id: UUID) -> None:
        client = self.wire.clients.get((self.namespace, connection))
        if client is not None:
            self.wire.send([client], "superseded", {"session_id": str(session_id)})

    async def _watch(self, client: Client, message: Watch, _now: datetime) -> Answer:
        booking_id = _booking_of(client, message)
        if isinstance(booking_id, Refusal):
            return booking_id
        if client.share is not None:
            leg = (await watching.legs(self.stores, [booking_id])).get(booking_id)
            found = leg if leg is not None else Refusal("not_found", "There is no such visit.")
        else:
            found = await watching.leg(self.stores, booking_id, client.actor)
        if isinstance(found, Refusal):
            return found
        arrivals = self._fanout.arrivals
        if not arrivals.may_watch_more(client, booking_id):
            return Refusal("rate_limited", "Ten arrivals are watched already: unwatch one first.")
        position = await watching.newest(self.stores, found.session_id)
        if client.ending:
            return Refusal("unauthenticated", "This socket has ended.")
        return Reply(200, arrivals.watch(client, found, position))

    async def _unwatch(self, client: Client, message: Watch, _now: datetime) -> Answer:
        booking_id = _booking_of(client, message)
        if isinstance(booking_id, Refusal):
            return booking_id
        self._fanout.arrivals.unwatch(client, booking_id)
        return Reply(200, {})

    async def _watch_map(self, client: Client, message: WatchMap, now: datetime) -> Answer:
        box = None
        if message.bbox is not None:
            w, s, e, n = message.bbox
            box = (w, s, e, n)
        return Reply(200, self._fanout.fleet.watch(client, box, ms(now)))

    async def _unwatch_map(self, client: Client, _message: Nothing, _now: datetime) -> Answer:
        self._fanout.fleet.left(client)
        return Reply(200, {})


def _booking_of(client: Client, message: Watch) -> UUID | Refusal:
    if client.share is not None:
        if message.booking_id not in (None, client.share.booking_id):
            return Refusal("not_found", "There is no such visit.")
        return client.share.booking_id
    if message.booking_id is None:
        return Refusal("validation", "Say which booking_id.")
    return message.booking_id


def parse(raw: Iterable[dict[str, Any]]) -> tuple[list[Fix], list[int] | None]:
    """Return the fixes that can be read and the numbers of those that cannot; None when one has no number at all."""
    fixes: list[Fix] = []
    malformed: list[int] = []
    for each in raw:
        try:
            item = FixItem.model_validate(each)
        except ValidationError:
            seq = each.get("seq")
            if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < 1 << 53:
                return [], None
            malformed.append(seq)
            continue
        fixes.append(
            Fix(item.seq, item.t, item.lat, item.lon, item.acc_m, item.spd_mps, item.hdg_deg, item.battery)
        )
    return fixes, malformed
