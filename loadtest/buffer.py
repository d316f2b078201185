"""What a phone remembers of one GPS session until PostgreSQL has it.

Fixes get a `seq` that grows by one; a fix is forgotten only when `durable_seq` has passed it; after a lost
connection everything not yet durable is sent again, in batches (sent twice, counted once, says the server).
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.shapes import Json

BATCH = 100
MAX_MESSAGE_FIXES = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """What the phone's GPS said at `t_ms` (epoch): possibly wrong, accuracy possibly a lie."""

    t_ms: int
    lat: float
    lon: float
    acc_m: float | None = None
    spd_mps: float | None = None
    hdg_deg: float | None = None
    battery: float | None = None

    def wire(self, seq: int) -> Json:
        """The fix as /gps wants it, without what is unknown."""
        fix: Json = {"seq": seq, "t": self.t_ms, "lat": round(self.lat, 6), "lon": round(self.lon, 6)}
        for name, value, digits in (
            ("acc_m", self.acc_m, 1),
            ("spd_mps", self.spd_mps, 2),
            ("hdg_deg", self.hdg_deg, 1),
            ("battery", self.battery, 2),
        ):
            if value is not None:
                fix[name] = round(value, digits)
        return fix


class FixBuffer:
    """The fixes of one session: what is new, what was sent, what may be forgotten."""

    def __init__(self, session_id: str, device_id: str, *, limit: int = 5_000) -> None:
        self.session_id = session_id
        self.device_id = device_id
        self.dropped = 0
        self.rounds = 0  # of flushing after the leg
        self._limit = limit  # full (hours out of reach): the oldest fix is dropped and counted
        self._kept: OrderedDict[int, Reading] = OrderedDict()
        self._unsent: deque[int] = deque()
        self._next_seq = 1

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def unsent(self) -> int:
        """How many fixes wait for their (next) sending."""
        return len(self._unsent)

    def add(self, reading: Reading) -> int:
        """Remember a fix; its seq."""
        seq = self._next_seq
        self._next_seq += 1
        if len(self._kept) >= self._limit:
            oldest, _ = self._kept.popitem(last=False)
            self.dropped += 1
            if self._unsent and self._unsent[0] == oldest:
                self._unsent.popleft()
        self._kept[seq] = reading
        self._unsent.append(seq)
        return seq

    def take(self, limit: int = BATCH) -> list[int]:
        """The next seqs to send, oldest first; they count as sent until `send_again`."""
        batch: list[int] = []
        while self._unsent and len(batch) < min(limit, MAX_MESSAGE_FIXES):
            seq = self._unsent.popleft()
            if seq in self._kept:
                batch.append(seq)
        return batch

    def message(self, seqs: list[int]) -> Json:
        """The `fix` message with these seqs, in the order given."""
        return {
            "session_id": self.session_id,
            "device_id": self.device_id,
            "fixes": [self._kept[seq].wire(seq) for seq in seqs if seq in self._kept],
        }

    def acked(self, ack: Mapping[str, Any]) -> None:
        """Forget what is durable."""
        durable = int(ack.get("durable_seq") or 0)
        while self._kept and next(iter(self._kept)) <= durable:
            self._kept.popitem(last=False)

    def send_again(self) -> None:
        """After a lost connection or answer: everything that is not durable is unsent."""
        self._unsent = deque(self._kept)
