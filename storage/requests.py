"""Requests that changed something, as they were answered: the first line of a story, written in the commit of the work.

Operational logs stay apart from it: this holds the route's name and ids, no address and no body.
"""

from collections.abc import Iterator
from uuid import UUID

from domain.context import Context
from domain.facts import Fact, Replied
from storage.rows import Row


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield the request whose answer is being kept: a command with an Idempotency-Key."""
    if isinstance(fact, Replied) and context.claim is not None:
        yield Row("requests", {
            "request_id": event_id, "correlation_id": context.correlation_id, "at": context.now,
            "route": context.claim.route, "status": fact.status, "actor_id": context.actor.person_id,
            "actor_role": context.actor.role, "booking_id": fact.booking_id,
        })  # fmt: skip
