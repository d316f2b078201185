"""One story by its correlation id."""

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict

from domain.context import Role
from rest.models import Instant, View
from rest.registry import Ask, Routes
from services import correlations
from services.reply import Answer

ROUTES = Routes("Seeing it all")


class StoryItemView(View):
    """Something that happened; what else it holds goes by its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    at: Instant
    kind: Literal[
        "request",
        "payment",
        "event",
        "ledger",
        "audit",
        "outbox",
        "alert",
        "job",
        "notification",
        "webhook",
        "socket",
    ]
    id: UUID | None  # by which others name it as their cause
    caused_by: UUID | None  # an event or a job; null: the request itself


class StoryView(View):
    """The story, in order of time."""

    items: list[StoryItemView]


@ROUTES.get(
    "/v1/correlations/{correlation}", roles={Role.FOUNDER, Role.SUPPORT, Role.FINANCE}, answer=StoryView
)
async def read_story(ask: Ask) -> Answer:
    """Read everything that one request caused.

    The founder sees all of it, support all but money and words, finance the money part.
    """
    return await correlations.story(ask.stores, ask.text("correlation"), ask.context)
