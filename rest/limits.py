"""Token buckets for each caller: a burst at once, then a steady rate; what is over is 429 with the seconds to wait.

The buckets live in this process: several processes let through at most their number times as much, and a limit never
costs a round trip or fails with a store. Signed-in callers count by person, others by address.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from domain.refusals import Refusal

BUCKETS_KEPT = (
    50_000  # when full, the caller heard of longest ago is forgotten, and starts with a full bucket
)


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` requests at once, refilled at `per_s`."""

    name: str
    burst: int
    per_s: float

    @property
    def policy(self) -> str:
        """Return the value of RateLimit-Policy: the quota and its window in seconds."""
        return f'"{self.name}";q={self.burst};w={math.ceil(self.burst / self.per_s)}'


@dataclass(frozen=True, slots=True)
class Taken:
    """What a caller has left; `refusal` when it was too much."""

    limit: Limit
    remaining: int
    full_in_s: int
    refusal: Refusal | None

    def headers(self) -> dict[str, str]:
        """Return RateLimit and RateLimit-Policy."""
        return {
            "RateLimit-Policy": self.limit.policy,
            "RateLimit": f'"{self.limit.name}";r={self.remaining};t={self.full_in_s}',
        }


class Limiter:
    """All buckets of one process."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self._levels: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, name: str, caller: str, now_s: float) -> Taken:
        """Take one token of `caller` from the limit of that name. `now_s` is monotonic."""
        limit = self._limits[name]
        level, at = self._levels.pop((name, caller), (float(limit.burst), now_s))
        level = min(limit.burst, level + max(0.0, now_s - at) * limit.per_s)
        refusal = None
        if level >= 1:
            level -= 1
        else:
            wait_s = math.ceil((1 - level) / limit.per_s)
            refusal = Refusal(
                "rate_limited", f"Try again in {wait_s} s.", extra={"retry_after_s": wait_s, "limit": name}
            )
        self._levels[(name, caller)] = (level, now_s)
        if len(self._levels) > BUCKETS_KEPT:
            self._levels.popitem(last=False)
        return Taken(limit, int(level), math.ceil((limit.burst - level) / limit.per_s), refusal)
