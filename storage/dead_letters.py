"""Dead letters: what a subscriber could not do after all its tries, kept until somebody lets it try again."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from storage.db import Tx

PUT = """
INSERT INTO app.dead_letters (subscriber, event_id, outbox_id, topic, correlation_id, attempts, error, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (subscriber, event_id) DO UPDATE
    SET attempts = app.dead_letters.attempts + EXCLUDED.attempts, error = EXCLUDED.error, at = EXCLUDED.at,
        outcome = NULL
"""


class DeadLetter(NamedTuple):
    """An event that a subscriber could not do; `error` is its kind only."""

    subscriber: str
    event_id: UUID
    outbox_id: int
    topic: str
    correlation_id: str
    attempts: int
    error: str


async def put(tx: Tx, letter: DeadLetter, at: datetime) -> None:
    """Lay an event down for a person to look at."""
    await tx.execute(PUT, *letter, at)
