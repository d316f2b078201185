"""What nobody could do, and the person who lets it try again."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.context import Role
from rest.models import Instant, ListView, Nothing, Page, View
from rest.registry import Ask, Routes
from services import dead_letters
from services.reply import Answer

ROUTES = Routes("Seeing it all")


class Letters(Page):
    """Which letters."""

    state: Literal["open", "done"] = Field(default="open", description="`done`: replayed, and it went well")


class DeadLetterView(View):
    """An event that a subscriber gave up (`source` outbox), or a job that gave up. `error` is its kind."""

    dead_letter_id: UUID
    source: Literal["outbox", "job"]
    name: str = Field(description="The subscriber, or the job")
    topic: str | None
    event_id: UUID | None
    job_id: UUID | None
    correlation_id: str
    attempts: int
    error: str
    at: Instant
    state: Literal["open", "done"]


@ROUTES.get("/v1/dead-letters", roles={Role.FOUNDER, Role.SUPPORT}, answer=ListView[DeadLetterView])
async def list_dead_letters(ask: Ask[Nothing, Letters]) -> Answer:
    """List what nobody could do after all its tries, newest first."""
    query = ask.query
    return await dead_letters.list_(
        ask.stores, done=query.state == "done", limit=query.limit, cursor=query.cursor
    )


@ROUTES.post(
    "/v1/dead-letters/{dead_letter_id}/replay",
    roles={Role.FOUNDER},
    answer=DeadLetterView,
    refusals=("dead_letter_state",),
)
async def replay(ask: Ask) -> Answer:
    """Let it try again.

    An event is given to its subscriber now, and `state` is still `open` when that failed; a job is queued again.
    """
    return await dead_letters.replay(ask.stores, ask.id("dead_letter_id"), ask.context)
