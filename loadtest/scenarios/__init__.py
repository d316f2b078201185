"""Bounded scenarios: so many phones for so long, then a verdict. `doorstep loadtest NAME --url URL` runs them.

A scenario is a coroutine function `(Ask) -> Verdict` in a file of its own, named in `SCENARIOS`.
"""

from loadtest.scenarios.arrivals import arrivals
from loadtest.scenarios.verdict import Ask, Scenario, Verdict

SCENARIOS: dict[str, Scenario] = {"arrivals": arrivals}

__all__ = ["SCENARIOS", "Ask", "Scenario", "Verdict"]
