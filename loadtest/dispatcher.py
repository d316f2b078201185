"""A dispatcher's map without the map: watches every active booking, counts frames, gaps and their age.

`n` grows by one for each frame of a socket; a gap means a frame was lost, and the remedy is the protocol's own:
ask for the map again.
"""

import random
import time
from collections import deque

from loadtest.api import Api, Server
from loadtest.shapes import Account, Json
from loadtest.tally import Tally, quantiles_ms
from loadtest.wire import Refused, Wire, WireDown


class MapWatcher:
    """One socket with `watch_map` of everything; `rows` is what a screen would show."""

    def __init__(self, at: Server, account: Account, *, rng: random.Random, tally: Tally) -> None:
        self.rows: dict[str, list[object]] = {}
        self.frames = 0
        self.gaps = 0
        self._tally = tally
        self._n: int | None = None
        self._behind_s: deque[float] = deque(maxlen=4_000)  # full: the oldest measurement goes
        self._wire = Wire(
            at,
            ("/gps",),
            api=Api(at, account, rng=rng),
            on_event=self._heard,
            on_connect=self._watch,
            rng=rng,
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._wire.run()

    def report(self) -> Json:
        """Frames, gaps, bookings on the map, and how old a frame is when it comes."""
        return {
            "frames": self.frames,
            "gaps": self.gaps,
            "on_the_map": len(self.rows),
            "frame_ms": quantiles_ms(list(self._behind_s)),
        }

    async def _watch(self) -> None:
        answer = await self._wire.call("/gps", "watch_map", {"all": True})
        self._n = int(answer["n"])
        self.rows = {str(row[0]): row for row in answer["rows"]}

    def _heard(self, _namespace: str, event: str, data: Json) -> None:
        if event != "frame":
            return
        n = int(data["n"])
        if self._n is not None and n != self._n + 1:
            self.gaps += 1
            self._tally.count("frame_gap")
        self._n = n
        self.frames += 1
        self._behind_s.append(max(0.0, time.time() - float(data["t"]) / 1000))
        for row in data.get("moved") or ():
            self.rows[str(row[0])] = row
        for booking_id in data.get("gone") or ():
            self.rows.pop(booking_id, None)

    async def look_again(self) -> None:
        """Ask for the whole map again, as a screen does after a gap."""
        try:
            await self._watch()
        except (WireDown, Refused) as error:
            self._tally.error("watch_map", error)
