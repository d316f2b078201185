"""A technician's phone: one signed-in device with its sockets, its bookings and its GPS stream.

It knows no person's will: `loadtest/technician.py` decides, the phone carries out. What always holds: fixes are
kept until `durable_seq` passes them, through any loss of signal or server; the interval and the least movement
are those the server asked for; its list of bookings is what the events said, re-read after any gap.
"""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable

from loadtest.api import Api, Server
from loadtest.buffer import FixBuffer, Reading
from loadtest.drive import Drive, Pose
from loadtest.feed import Feed
from loadtest.noise import Habits, PhoneGps, Radio
from loadtest.shapes import Account, Booking, Event, Json, LatLon, Technician
from loadtest.tally import Tally
from loadtest.traces import apart_m
from loadtest.wire import Refused, Wire, WireDown

DEFAULT_INTERVAL_S = 2.0
INTERVALS_S = (0.5, 30.0)
SILENCE_S = 15.0  # a standing phone still says so this often
FLUSH_EVERY_S = 2.0
GIVE_UP = frozenset({"not_found", "forbidden", "superseded", "validation", "session_closed"})


class Phone:
    """One device of one technician; open it, run it, stream legs through it."""

    def __init__(
        self,
        at: Server,
        account: Account,
        *,
        rng: random.Random,
        tally: Tally,
        habits: Habits,
    ) -> None:
        self.account = account
        self.api = Api(at, account, rng=rng)
        self.wire = Wire(
            at,
            ("/presence", "/bookings", "/gps"),
            api=self.api,
            on_event=self._heard,
            on_connect=self._connected,
            rng=rng,
        )
        self.me: Technician | None = None
        self.place: LatLon | None = None
        self.bookings: dict[str, Booking] = {}
        self.changed = asyncio.Event()
        # A phone that lost its memory is another device: its seqs start at 1 again.
        self.device_id = f"sim-{account.name}-{secrets.token_hex(3)}"
        self._feed = Feed(self._told, self.reread)
        self._gps = PhoneGps(rng, habits)
        self._radio = Radio(rng, habits)
        self._tally = tally
        self._presence = "available"
        self._interval_s = DEFAULT_INTERVAL_S
        self._min_move_m = 0.0
        self._leg: FixBuffer | None = None
        self._leftover: deque[FixBuffer] = deque(maxlen=3)  # full: the oldest leg's last seconds stay unsent

    async def open(self) -> Technician:
        """Sign in and learn who this is. Raises `ApiError` or `Unreachable`."""
        self.me = await self.api.technician()
        self.place = self.place or self.me.home
        return self.me

    async def run(self) -> None:
        """Keep the connection and send what is left of finished legs; ends only when cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.wire.run())
            tasks.create_task(self._flush())

    async def show(self, state: str) -> None:
        """Set the presence, with the place; a lost connection sets it again when it is back."""
        self._presence = state
        if self.wire.up:
            await self._set_presence()

    async def reread(self) -> None:
        """Read this technician's open bookings over REST: the truth after a gap."""
        mine = [booking for booking in await self.api.bookings() if booking.active and self._is_mine(booking)]
        self.bookings = {booking.booking_id: booking for booking in mine}
        self.changed.set()

    def learn(self, booking: Booking) -> None:
        """Take a newer version of a booking (from an event or an answer)."""
        known = self.bookings.get(booking.booking_id)
        if known is not None and known.version > booking.version:
            return
        if booking.active and self._is_mine(booking):
            self.bookings[booking.booking_id] = booking
        else:
            self.bookings.pop(booking.booking_id, None)
        self.changed.set()

    def forget(self, booking_id: str) -> None:
        """It is no longer this technician's."""
        self.bookings.pop(booking_id, None)
        self.changed.set()

    async def wait_changed(self, at_most_s: float) -> None:
        """Until a booking changed, or the time is up."""
        self.changed.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self.changed.wait()
        except TimeoutError:
            return

    async def stream(self, session_id: str, drive: Drive, over: Callable[[float], bool]) -> None:
        """Drive and report until `over(seconds since departure)`; what is not durable by then is sent later."""
        buffer = self._leg = FixBuffer(session_id, self.device_id)
        fresh = asyncio.Event()
        self._interval_s, self._min_move_m = DEFAULT_INTERVAL_S, 0.0
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(self._send(buffer, fresh))
            await self._record(buffer, fresh, drive, over)
            sender.cancel()
        buffer.send_again()
        self._leftover.append(buffer)

    async def _record(
        self, buffer: FixBuffer, fresh: asyncio.Event, drive: Drive, over: Callable[[float], bool]
    ) -> None:
        begun_s = time.time()
        taken_s = -1.0
        said: tuple[float, LatLon] | None = None
        while not over(now_s := time.time() - begun_s):
            pose = drive.at(now_s)
            self.place = (pose.lat, pose.lon)
            for at_s, reading in self._readings(drive, pose, taken_s, now_s, begun_s):
                place = (reading.lat, reading.lon)
                if (
                    said is not None
                    and at_s - said[0] < SILENCE_S
                    and apart_m(said[1], place) < self._min_move_m
                ):
                    continue
                said = (at_s, place)
                buffer.add(reading)
                fresh.set()
            taken_s = now_s
            await self.wait_changed(self._interval_s)

    def _readings(
        self, drive: Drive, pose: Pose, taken_s: float, now_s: float, begun_s: float
    ) -> list[tuple[float, Reading]]:
        """What the GPS says for (taken, now]: recorded fixes as they are, else its own noisy view."""
        recorded = drive.recorded(taken_s, now_s)
        if recorded is None:
            reading = self._gps.read(pose, int((begun_s + now_s) * 1000))
            return [] if reading is None else [(now_s, reading)]
        if not recorded and now_s > drive.duration_s:
            return [(now_s, Reading(int((begun_s + now_s) * 1000), pose.lat, pose.lon))]
        return [
            (
                at_s,
                Reading(int((begun_s + at_s) * 1000), fix.lat, fix.lon, fix.acc_m, fix.spd_mps, fix.hdg_deg),
            )
            for at_s, fix in recorded[-1:]
        ]

    async def _send(self, buffer: FixBuffer, fresh: asyncio.Event) -> None:
        connects = self.wire.connects
        while True:
            await fresh.wait()
            fresh.clear()
            away_s = self._radio.outage_s(time.monotonic())
            if away_s > 0:
                await self._out_of_reach(away_s)
            await self.wire.wait_up()
            if connects != self.wire.connects:
                connects = self.wire.connects
                buffer.send_again()
            await self._send_all(buffer)

    async def _send_all(self, buffer: FixBuffer) -> bool:
        """Send what is unsent; False when the server wants nothing more of this session."""
        while seqs := buffer.take():
            message = buffer.message(self._radio.order(seqs))
            try:
                ack = await self._send_one(message)
                if self._radio.doubled():
                    ack = await self._send_one(message)
            except WireDown as error:
                self._tally.error("fix", error)
                buffer.send_again()
                return True
            except Refused as refusal:
                self._tally.error("fix", refusal)
                if refusal.code in GIVE_UP:
                    return False
                await asyncio.sleep(1.0)
                buffer.send_again()
                return True
            buffer.acked(ack)
            if buffer is self._leg:  # what is asked for after a leg is not meant for the next one
                self._obey(ack)
        return True

    async def _send_one(self, message: Json) -> Json:
        fixes = message["fixes"]
        if fixes:
            self._tally.sent(message["session_id"], max(fix["t"] for fix in fixes))
        ack = await self.wire.call("/gps", "fix", message)
        self._tally.count("fixes", len(fixes))
        for rejected in ack.get("rejected") or ():
            self._tally.count(f"rejected_{rejected.get('reason')}")
        return ack

    def _obey(self, ack: Json) -> None:
        least_s, most_s = INTERVALS_S
        self._interval_s = min(most_s, max(least_s, float(ack.get("next_interval_s") or DEFAULT_INTERVAL_S)))
        self._min_move_m = min(100.0, max(0.0, float(ack.get("min_move_m") or 0.0)))

    async def _out_of_reach(self, away_s: float) -> None:
        self._tally.count("lost_signal")
        self.wire.lose_signal()
        try:
            await asyncio.sleep(away_s)
        finally:
            self.wire.regain_signal()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if not self._leftover or not self.wire.up:
                continue
            buffer = self._leftover[0]
            wanted = await self._send_all(buffer)
            if wanted and len(buffer) and buffer.rounds < 30:
                buffer.rounds += 1
                buffer.send_again()  # acked but not durable yet: ask again
                continue
            if len(buffer):
                self._tally.count("fixes_given_up", len(buffer))
            self._leftover.remove(buffer)

    async def _connected(self) -> None:
        await self._feed.sync(self.wire)
        await self._set_presence()

    async def _set_presence(self) -> None:
        body: Json = {"state": self._presence}
        if self.place is not None:
            body |= {"lat": round(self.place[0], 5), "lon": round(self.place[1], 5)}
        await self.wire.call("/presence", "set", body)

    def _heard(self, namespace: str, event: str, data: Json) -> None:
        if namespace == "/bookings" and event == "event":
            self._feed.take(data)
        elif event in {"superseded", "closing", "slow"}:
            self._tally.count(event)

    def _told(self, event: Event) -> None:
        if event.booking is not None:
            self.learn(event.booking)

    def _is_mine(self, booking: Booking) -> bool:
        return self.me is not None and booking.technician_id == self.me.technician_id
