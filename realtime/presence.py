"""`/presence`: technicians say whether they are available; dispatchers watch them.

Watchers hear of changes only: what a node knows of each technician is compared with what it last said. Whoever
becomes dirty (a word, a lease that began or ended, a booking that moved) is looked at in the next tick, all at once.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.context import Role
from domain.refusals import Refusal
from realtime.clients import Client
from realtime.door import AWAY, Door, Hears, log
from realtime.messages import Nothing, SetPresence, WatchPresence
from realtime.wire import Wire
from services import presence
from services.booking_view import stamp
from services.presence import Standing
from services.reply import Answer, Reply
from services.stores import Stores
from storage.hot import Topic

TICK_S = 0.25
LAPSE_EVERY_S = 1.0
WATCHERS = frozenset({Role.DISPATCHER, Role.FOUNDER})


class PresenceDoor(Door):
    """The namespace and its board of technicians."""

    def __init__(self, stores: Stores, wire: Wire) -> None:
        super().__init__("/presence", stores, wire)
        self.hears = {
            "set": Hears(SetPresence, self._set, frozenset({Role.TECHNICIAN})),
            "watch": Hears(WatchPresence, self._watch, WATCHERS),
            "unwatch": Hears(Nothing, self._unwatch, WATCHERS),
        }
        self._devices: dict[Client, UUID] = {}
        self._watchers: dict[Client, UUID | None] = {}
        self._areas: dict[UUID, UUID | None] = {}
        self._standing: dict[UUID, Standing] = {}
        self._dirty: set[UUID] = set()  # at most one entry for each technician
        stores.hot.subscribe(Topic.PRESENCE, lambda message: self.look_at(UUID(bytes=message)))

    def look_at(self, technician_id: UUID) -> None:
        """Something about this technician may have changed."""
        if self._watchers:
            self._dirty.add(technician_id)

    def on_row(self, row: Mapping[str, Any]) -> None:
        """Something happened to a booking: its technician may be busy now, or free."""
        for person_id in row["audience"]:
            if person_id in self._areas:
                self.look_at(person_id)

    async def joined(self, client: Client) -> None:
        """A technician's device holds a lease from now on, whatever it says."""
        if client.actor.role == Role.TECHNICIAN and client.actor.person_id is not None:
            self._devices[client] = client.actor.person_id
            await presence.opened(self.stores, client.actor, client.sid)

    async def left(self, client: Client) -> None:
        """A device may come back within the grace time."""
        self._watchers.pop(client, None)
        if self._devices.pop(client, None) is not None:
            await presence.closed(self.stores, client.actor, client.sid)

    async def _set(self, client: Client, message: SetPresence, now: datetime) -> Answer:
        place = None if message.lat is None or message.lon is None else (message.lat, message.lon)
        return await presence.say(self.stores, client.actor, client.sid, message.state, place, now)

    async def _watch(self, client: Client, message: WatchPresence, _now: datetime) -> Answer:
        if message.area_id is not None and not self._covers(client, message.area_id):
            return Refusal("not_found", "There is no such area of yours.")
        self._areas = await presence.areas_of(self.stores)
        found = await presence.standings(self.stores, self._areas)
        self._watchers[client] = message.area_id
        self._standing.update(found)
        listed = [
            presence.as_listed(technician_id, standing)
            for technician_id, standing in found.items()
            if self._concerns(client, technician_id)
        ]
        return Reply(200, {"technicians": listed})

    async def _unwatch(self, client: Client, _message: Nothing, _now: datetime) -> Answer:
        self._watchers.pop(client, None)
        return Reply(200, {})

    def _covers(self, client: Client, area_id: UUID | None) -> bool:
        if client.actor.role == Role.FOUNDER:
            return True
        return presence.covers(client.actor.areas, area_id)

    def _concerns(self, client: Client, technician_id: UUID) -> bool:
        area_id, wanted = self._areas.get(technician_id), self._watchers.get(client)
        return self._covers(client, area_id) and wanted in (None, area_id)

    async def run(self) -> None:
        """Tell watchers, refresh this node's leases and end those that lapsed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_changes())
            tasks.create_task(self._keep_leases())
            tasks.create_task(self._end_lapsed())

    async def _tell_changes(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            dirty, self._dirty = self._dirty, set()
            if not dirty or not self._watchers:
                continue
            try:
                await self._tell(dirty)
            except AWAY as error:
                log.warning("presence_not_told", error=type(error).__name__)
                self._dirty |= dirty

    async def _tell(self, dirty: set[UUID]) -> None:
        if unknown := [technician_id for technician_id in dirty if technician_id not in self._areas]:
            self._areas.update(await presence.areas_of(self.stores, unknown))
        now = stamp(datetime.now(UTC))
        for technician_id, standing in (await presence.standings(self.stores, dirty)).items():
            before = self._standing.get(technician_id)
            self._standing[technician_id] = standing
            if technician_id not in self._areas or (before is not None and before.state == standing.state):
                continue
            change = {"technician_id": str(technician_id), "state": standing.state, "at": now}
            readers = [c for c in self._watchers if self._concerns(c, technician_id)]
            self.wire.send(readers, "changed", change)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(presence.keep_every_s(self.stores.policy))
            await presence.keep(
                self.stores, [(person, client.sid) for client, person in self._devices.items()]
            )

    async def _end_lapsed(self) -> None:
        while True:
            await asyncio.sleep(LAPSE_EVERY_S)
            await self.stores.hot.lapse()  # tells `PRESENCE` for each who is gone
