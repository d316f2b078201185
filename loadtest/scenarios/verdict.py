"""What a scenario is asked and what it answers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from loadtest.shapes import Json


@dataclass(frozen=True, slots=True)
class Ask:
    """Where, as whom, how many and how long."""

    url: str
    password: str
    phones: int = 20
    first: int = 1
    seconds: float = 60.0
    roads: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it held, why not, and every number behind it."""

    held: bool
    reasons: tuple[str, ...]
    numbers: Json


type Scenario = Callable[[Ask], Coroutine[object, object, Verdict]]
