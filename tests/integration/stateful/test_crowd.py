"""Twenty and more at one booking and one technician, all at once, on a real PostgreSQL, through a whole life.

Hypothesis draws who comes together: button and detector, customer and dispatcher, deadlines, jobs and webhooks of the
gateway, the same request sent again, and one that read an old version.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from domain.booking import State
from services.policy import Policy
from storage.embedded import EmbeddedPostgres
from storage.embedded_cluster import DATABASE
from storage.ids import new_id
from storage.migrate import migrate
from tests.conftest import _clone
from tests.integration.stateful.crowd import BESIDE, Crowd, Deed
from tests.integration.world import open_world

NEXT = {
    State.REQUESTED: "accept", State.ACCEPTED: "depart", State.EN_ROUTE: "arrive", State.ARRIVED: "start",
    State.IN_SERVICE: "complete", State.COMPLETED: "rate",
}  # fmt: skip
MILD = ("note", "extend", "arrive", "detect", "start", "depart", "accept", "complete", "rate")
HARD = ("decline", "cancel", "support", "release", "reassign", "override", "close", "no-show")
HOT, CROWD = 12, 20

ALWAYS = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def machine(
    open_house: Callable[[AsyncExitStack], Coroutine[Any, Any, Crowd]],
) -> type[RuleBasedStateMachine]:
    """Return the machine whose every example lives in a house of its own."""

    class Life(RuleBasedStateMachine):
        """A booking's life among many."""

        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
            self.stack = AsyncExitStack()
            self.crowd = self.runner.run(open_house(self.stack))

        def teardown(self) -> None:
            """Close the house."""
            self.runner.run(self.stack.aclose())
            self.runner.close()

        def state(self) -> State:
            """Return how the booking stands."""
            return self.runner.run(self.crowd.booking()).state

        @initialize(
            offsets=st.lists(st.sampled_from((0, 20, 40)), min_size=16, max_size=18), again=st.integers(0, 4)
        )
        def begin(self, offsets: list[int], again: int) -> None:
            """Many want the technician, one gets them."""
            self._book(offsets, again)

        def _book(self, offsets: list[int], again: int) -> None:
            soon = datetime.now(UTC) + timedelta(minutes=20)
            self.runner.run(self.crowd.book([soon + timedelta(minutes=m) for m in offsets], again))

        def _go_on(self) -> State:
            """Return how the booking stands; where it is over, the next visit is wanted by as many.

            Who won a race must not decide what is drawn next, so no rule has a precondition.
            """
            found = self.runner.run(self.crowd.booking())
            if found.state not in NEXT or found.rated:
                self._book([0, 20, 40] * 5 + [0], 2)
            return self.state()

        @rule(beside=st.lists(st.sampled_from(("jobs", "webhooks", "seal")), max_size=2, unique=True))
        def one_step(self, beside: list[str]) -> None:
            """All want the same next step, some of them again and again: it is taken once."""
            what = NEXT[self._go_on()]
            once = new_id().hex
            deeds = [Deed(what, new_id().hex) for _ in range(HOT)] + [Deed(what, once) for _ in range(6)]
            deeds += [Deed(what), Deed(what), *(Deed(what, new_id().hex, stale=True) for _ in range(3))]
            self.runner.run(self.crowd.act(deeds, beside, what))

        @rule(
            mild=st.lists(st.sampled_from(MILD), min_size=CROWD, max_size=CROWD + 6),
            hard=st.lists(st.sampled_from(HARD), min_size=0, max_size=4),
            again=st.integers(0, 6),
            beside=st.lists(st.sampled_from(BESIDE), max_size=3, unique=True),
        )
        def everything(self, mild: list[str], hard: list[str], again: int, beside: list[str]) -> None:
            """Everybody wants something else."""
            self._go_on()
            deeds = [Deed(what, new_id().hex) for what in [*mild, *hard]]
            deeds += [replace(deed) for deed in deeds[:again]] + [Deed(mild[0], new_id().hex, stale=True)]
            self.runner.run(self.crowd.act(deeds, beside, None))

    return Life


@pytest.fixture
def life(postgres: EmbeddedPostgres, migrated: set[str]) -> type[RuleBasedStateMachine]:
    """A machine over clones of the migrated database."""
    if DATABASE not in migrated:
        asyncio.run(migrate(postgres.owner_url))
        migrated.add(DATABASE)

    async def open_house(stack: AsyncExitStack) -> Crowd:
        clone = await stack.enter_async_context(_clone(postgres, DATABASE))
        policy = Policy(no_show_wait_s=0)
        return Crowd(await stack.enter_async_context(open_world(clone.app_url, clone.owner_url, policy)))

    return machine(open_house)


def live(life: type[RuleBasedStateMachine], lives: int, steps: int) -> None:
    """Live so many lives, each drawn from a seed of its own: who wins a race differs from run to run, so none is
    compared with another. Two examples: hypothesis begins with the simplest one.
    """
    for n in range(lives):
        run_state_machine_as_test(
            seed(n)(type("Life", (life,), {})),
            settings=settings(ALWAYS, max_examples=2, stateful_step_count=steps),
        )


def test_a_crowd_breaks_nothing(life: type[RuleBasedStateMachine]) -> None:
    """A few lives."""
    live(life, 2, 6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_crowds_break_nothing(life: type[RuleBasedStateMachine]) -> None:
    """Many lives, and longer ones."""
    live(life, 40, 14)
