"""What a job is: a named function that may run more than once, and the way it says "later".

Handlers must be safe to repeat: a worker can die after the work and before the note that it was done.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.context import Context
from services.stores import Stores

type Run = Callable[[Stores, Mapping[str, Any], Context], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """`run` does it; `gave_up`, if given, records that after the last try nobody could.

    `at_once`: so many of this name run at the same time, in all processes together (0: as many as fit); others wait.
    """

    run: Run
    gave_up: Run | None = None
    at_once: int = 0


class Later(Exception):
    """Try again, after the usual delay or its own. The sentence goes into the job's record: ids and codes only."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


class Hopeless(Exception):
    """Trying again will not help: this was the last try. The sentence goes into the job's record."""
