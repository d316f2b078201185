"""How far a phone's clock is off from ours, learned from when its fixes come in.

A wrong clock and an old fix look alike once; they differ over time. Fixes from a wrong clock keep in step with our
clock, while a buffer's come in faster than they were made. So an offset is taken only after several fixes in a row
arrived just as far apart as they were made, all far from now by the same amount.
"""

from dataclasses import dataclass

_EARLY_MS = 2_000
_LATE_MS = 45_000
_STEP_MS = 1_500
_APART_MS = 500
_AGREEING = 4


@dataclass(frozen=True, slots=True)
class Clock:
    """`offset_ms` is added to a phone's times to get ours; the rest is a suspicion that grows."""

    offset_ms: int = 0
    seen_t_ms: int = 0
    seen_at_ms: int = 0
    agreeing: int = 0

    def observing(self, t_ms: int, received_ms: int) -> "Clock":
        """The clock after a fix made at `t_ms` by the phone's time arrived at `received_ms` by ours."""
        lag_ms = received_ms - t_ms - self.offset_ms
        if -_EARLY_MS <= lag_ms <= _LATE_MS:
            return self if self.agreeing == 0 else Clock(self.offset_ms)
        if self.agreeing:
            apart_ms = received_ms - self.seen_at_ms
            if apart_ms < _APART_MS and t_ms >= self.seen_t_ms:
                return self  # the same message, or one right behind it, tells nothing
            if abs(apart_ms - (t_ms - self.seen_t_ms)) <= _STEP_MS:
                if self.agreeing + 1 >= _AGREEING:
                    return Clock(self.offset_ms + lag_ms)
                return Clock(self.offset_ms, t_ms, received_ms, self.agreeing + 1)
        return Clock(self.offset_ms, t_ms, received_ms, 1)
