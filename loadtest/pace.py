"""How fast the simulated life goes by.

`speed` divides every wait, every hesitation and every visit. Driving is hurried by at most `drive.MAX_FACTOR`
and never past what a fix may plausibly claim, whatever the speed: positions stay those of cars.
"""

import asyncio
from dataclasses import dataclass

from loadtest.drive import MAX_FACTOR


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of the simulated life; 1 is real time."""

    speed: float = 1.0

    @property
    def driving(self) -> float:
        """How much faster than real a leg is driven."""
        return max(1.0, min(self.speed, MAX_FACTOR))

    def shrunk_s(self, life_s: float) -> float:
        """Seconds of the wall clock for seconds of life."""
        return life_s / max(0.1, self.speed)

    async def wait(self, life_s: float) -> None:
        """Let `life_s` seconds of life go by."""
        await asyncio.sleep(self.shrunk_s(life_s))
