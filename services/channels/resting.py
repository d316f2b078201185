"""A rest for a channel whose other side is away, so that its waits never take the workers from everybody else's jobs.

After a few letters in a row found nobody, the others are told so at once for a while; then one goes to look again.
"""

import time
from collections.abc import Callable
from datetime import datetime

from services.channels.channel import Channel, Letter, Sent, To

REST_AFTER = 3
REST_S = 30.0


class Resting:
    """A channel in front of another."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel, self._clock = channel, clock
        self._in_a_row = 0
        self._look_again_at = 0.0

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:
        """Send it, or say at once that nobody is there."""
        if self._in_a_row >= REST_AFTER:
            if self._clock() < self._look_again_at:
                return Sent("resting", again=True, unreachable=True)
            self._look_again_at = self._clock() + REST_S  # the others wait until this one has looked
        sent = await self._channel.send(letter, to, now)
        self._in_a_row = self._in_a_row + 1 if sent.unreachable else 0
        if self._in_a_row == REST_AFTER:
            self._look_again_at = self._clock() + REST_S
        return sent
