"""The one door for truth: every change is a list of facts, written in one statement inside the caller's transaction.

The executor knows no fact by name. Each table's module offers a `fact -> rows` writer; the order of `WRITERS` is the
order of writing, parents first. Nothing is emitted here: other processes see facts through the outbox, after COMMIT.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from domain.context import Context
from domain.facts import Fact
from storage import (
    alerts,
    audit,
    bookings,
    cancellation_policies,
    credentials,
    deadlines,
    erasure,
    gps_sessions,
    idempotency,
    jobs,
    ledger,
    matches,
    outbox,
    payments,
    payouts,
    refund_requests,
    requests,
    reservations,
    shares,
    technicians,
    tracing,
    webhook_deliveries,
)
from storage.db import Tx
from storage.ids import new_id
from storage.rows import Writer, encode

RECORD = "SELECT app.record($1::text::jsonb)"

WRITERS: tuple[Writer, ...] = (
    technicians.rows,
    credentials.rows,
    cancellation_policies.rows,
    matches.rows,
    bookings.rows,
    reservations.rows,
    deadlines.rows,
    alerts.rows,
    gps_sessions.rows,
    shares.rows,
    payments.rows,
    ledger.rows,
    payouts.rows,
    refund_requests.rows,
    audit.rows,
    erasure.rows,
    outbox.rows,
    webhook_deliveries.rows,
    jobs.rows,
    idempotency.rows,
    requests.rows,
)


async def record(tx: Tx, facts: Sequence[Fact], context: Context) -> None:
    """Write all facts, or raise and write none (the transaction is the caller's).

    Raises asyncpg's `ExclusionViolationError` when a technician's time is taken, `UniqueViolationError` when a booking
    changed in between: services turn both into refusals.
    """
    await record_all(tx, [(facts, context)])


async def record_all(tx: Tx, stories: Iterable[tuple[Sequence[Fact], Context]]) -> None:
    """Write several stories at once, each with its own context; each table is written once, in the stories' order."""
    told = list(stories)
    if rows := _document(told):
        with tracing.within("journal.record", (context.correlation_id for _, context in told)):
            await tx.execute(RECORD, rows)


def document(facts: Sequence[Fact], context: Context) -> str | None:
    """Return what `app.record` takes for these facts, for a statement that does more than record; None for no rows."""
    return _document([(facts, context)])


def _document(stories: Iterable[tuple[Sequence[Fact], Context]]) -> str | None:
    tables: dict[str, list[dict[str, object]]] = {}
    for facts, context in stories:
        for fact in facts:
            event_id = new_id()
            for writer in WRITERS:
                for row in writer(fact, event_id, context):
                    tables.setdefault(row.table, []).append(row.values)
            if fact.leads:
                context = replace(context, causation_id=event_id)  # noqa: PLW2901 - for what follows
    return encode(list(tables.items())) if tables else None
