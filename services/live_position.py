"""The newest position of a leg, as the track's owner tells it to every node: what dispatchers and customers are shown
is cut from it. It never leaves the servers whole: what a reader may see is decided by `services.watching`.

`n` grows within a session, over restarts and nodes: it is the milliseconds since the session opened, times four. The
two low bits say how stale the reader's copy is (0 live, 1 delayed, 2 lost), so that growing old counts as news too.
"""

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import orjson

VERSION = 1
STALENESS_STEPS = 4


@dataclass(frozen=True, slots=True)
class Arriving:
    """When somebody will be there, in ms since the epoch: the likely time, and a range."""

    at_ms: int
    low_ms: int
    high_ms: int
    method: str


@dataclass(frozen=True, slots=True)
class LivePosition:
    """Where a technician on a leg is. `t_ms`: the fix's time by our clock."""

    booking_id: UUID
    session_id: UUID
    technician_id: UUID
    area_id: UUID
    n: int
    t_ms: int
    lat: float
    lon: float
    acc_m: float
    spd_mps: float
    hdg_deg: float | None
    near: bool
    remaining_m: float | None
    eta: Arriving | None

    def encode(self) -> bytes:
        """Return it as versioned JSON."""
        eta = self.eta
        return orjson.dumps(
            {
                "v": VERSION,
                "b": str(self.booking_id),
                "s": str(self.session_id),
                "w": str(self.technician_id),
                "a": str(self.area_id),
                "n": self.n,
                "t": self.t_ms,
                "p": (self.lat, self.lon, self.acc_m, self.spd_mps, self.hdg_deg),
                "near": self.near,
                "m": self.remaining_m,
                "eta": (eta.at_ms, eta.low_ms, eta.high_ms, eta.method) if eta is not None else None,
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self | None:
        """Return it from JSON; None when another version of this program wrote it."""
        raw: dict[str, Any] = orjson.loads(payload)
        if raw.get("v") != VERSION:
            return None
        lat, lon, acc_m, spd_mps, hdg_deg = raw["p"]
        return cls(
            booking_id=UUID(raw["b"]),
            session_id=UUID(raw["s"]),
            technician_id=UUID(raw["w"]),
            area_id=UUID(raw["a"]),
            n=raw["n"],
            t_ms=raw["t"],
            lat=lat,
            lon=lon,
            acc_m=acc_m,
            spd_mps=spd_mps,
            hdg_deg=hdg_deg,
            near=raw["near"],
            remaining_m=raw["m"],
            eta=Arriving(*raw["eta"]) if raw["eta"] is not None else None,
        )


def next_n(last: int, opened_ms: int, now_ms: int) -> int:
    """Return the next `n` of a session: it grows, whatever the clock does."""
    return max(last + STALENESS_STEPS, (now_ms - opened_ms) * STALENESS_STEPS)
