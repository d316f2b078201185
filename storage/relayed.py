"""Which events reached how many sockets, on which node: the last line of a story."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from storage.db import Tx

NOTE = """
INSERT INTO app.relayed (event_id, node, at, sockets)
SELECT event_id, $1, at, sockets FROM unnest($2::uuid[], $3::timestamptz[], $4::integer[]) AS x(event_id, at, sockets)
ON CONFLICT (event_id, node) DO NOTHING
"""


class Reached(NamedTuple):
    """An event that was sent to so many sockets of this node."""

    event_id: UUID
    at: datetime
    sockets: int


async def note(tx: Tx, node: str, reached: Sequence[Reached]) -> None:
    """Write down what was sent; an event that this node noted before stays as it was."""
    await tx.execute(
        NOTE, node, [r.event_id for r in reached], [r.at for r in reached], [r.sockets for r in reached]
    )
