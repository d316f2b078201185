"""What the simulator counts: states, happenings, errors by kind, and the way of a fix to its customer.

Every container is bounded, so that a demo may run for days.
"""

import time
from collections import Counter, OrderedDict, deque

from loadtest.shapes import Json


class Tally:
    """One process's counts. Latency is exact: sender and receiver share a monotonic clock."""

    def __init__(self) -> None:
        self.happened: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.last_error = ""
        self._sent: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._latency_s: deque[float] = deque(maxlen=4_000)  # full: the oldest measurement goes

    def count(self, name: str, by: int = 1) -> None:
        """Something happened."""
        self.happened[name] += by

    def error(self, where: str, error: BaseException) -> None:
        """Something went wrong and was survived."""
        code = getattr(error, "code", None)
        self.errors[f"{where}:{code or type(error).__name__}"] += 1
        self.last_error = f"{where}: {type(error).__name__}: {error}"[:300]
        if len(self.errors) > 200:  # kinds, not happenings: something odd makes names; keep the common ones
            self.errors = Counter(dict(self.errors.most_common(100)))

    def sent(self, session_id: str, t_ms: int) -> None:
        """A fix leaves the phone now."""
        self._sent[(session_id, t_ms)] = time.monotonic()
        if len(self._sent) > 4_000:  # full: the oldest was never watched
            self._sent.popitem(last=False)

    def seen(self, session_id: str, t_ms: int, watching_since_s: float) -> float | None:
        """A customer sees that fix now: seconds since it left; None if it left before they watched, or elsewhere."""
        left = self._sent.pop((session_id, t_ms), None)
        if left is None or left < watching_since_s:
            return None
        took_s = time.monotonic() - left
        self._latency_s.append(took_s)
        return took_s

    def latency_ms(self) -> Json:
        """Quantiles of the latest few thousand positions that customers saw."""
        return quantiles_ms(list(self._latency_s))


def quantiles_ms(seconds: list[float]) -> Json:
    """p50, p95, p99 and the count, in milliseconds; only the count when there is nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0}
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        **{f"p{p}": round(ordered[min(last, round(p / 100 * last))] * 1000, 1) for p in (50, 95, 99)},
        "max": round(ordered[-1] * 1000, 1),
    }


def leaf(error: BaseException) -> BaseException:
    """The first real error inside a task group's group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
