"""What made the system act: the event that set a deadline, the departure of a leg, the job that asked a gateway.

What follows carries the story (correlation id) of its cause and names it (causation id), however much later it comes.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from storage.db import Tx

EVENT = """
SELECT correlation_id, event_id AS id FROM app.booking_events
WHERE booking_id = $1 AND type = ANY ($2) ORDER BY seq DESC LIMIT 1
"""
INTENT = """
SELECT i.correlation_id, (SELECT j.job_id FROM app.jobs j
                          WHERE j.correlation_id = i.correlation_id AND j.name <> 'abandon_authorization'
                            AND j.payload ->> 'intent_id' = i.intent_id::text ORDER BY j.job_id LIMIT 1) AS id
FROM app.payment_intents i WHERE i.intent_id = $1
"""


class Cause(NamedTuple):
    """The story that a cause belongs to, and its id: an event's or a job's (None: only the story is known)."""

    correlation_id: str
    id: UUID | None


async def newest_event(tx: Tx, booking_id: UUID, types: Sequence[str]) -> Cause | None:
    """Return the newest event of these types of a booking."""
    record = await tx.fetchrow(EVENT, booking_id, list(types))
    return Cause(**record) if record else None


async def of_intent(tx: Tx, intent_id: UUID) -> Cause | None:
    """Return the story of a payment intent and the job that asks the gateway about it; None for an unknown intent."""
    record = await tx.fetchrow(INTENT, intent_id)
    return Cause(**record) if record else None
