"""One story by its correlation id, gathered from every record that carries it; each part bounded, in one snapshot."""

import asyncpg

from storage.db import Tx

STORY = """
WITH story AS (
    (SELECT at, 1 AS rank, 'request' AS kind, jsonb_build_object(
        'request_id', request_id, 'route', route, 'status', status, 'actor_id', actor_id, 'actor_role', actor_role,
        'booking_id', booking_id) AS body
     FROM app.requests WHERE correlation_id = $1 ORDER BY at LIMIT $2)
    UNION ALL
    (SELECT created_at, 1, 'request', jsonb_build_object(
        'route', 'POST /v1/discovery', 'status', 200, 'actor_id', customer_id, 'actor_role', 'customer',
        'match_id', match_id, 'reason', reason)
     FROM app.matches WHERE correlation_id = $1 ORDER BY created_at LIMIT $2)
    UNION ALL
    (SELECT created_at, 2, 'payment', jsonb_build_object(
        'intent_id', intent_id, 'booking_id', booking_id, 'wanted', kind, 'purpose', purpose, 'amount', amount,
        'currency', currency, 'status', status, 'gateway', gateway, 'attempts', attempts, 'settled_at', settled_at)
     FROM app.payment_intents WHERE correlation_id = $1 ORDER BY created_at LIMIT $2)
    UNION ALL
    (SELECT at, 3, 'event', jsonb_build_object(
        'event_id', event_id, 'booking_id', booking_id, 'seq', seq, 'type', type, 'actor_id', actor_id,
        'actor_role', actor_role, 'causation_id', causation_id, 'data', data)
     FROM app.booking_events WHERE correlation_id = $1 ORDER BY at, seq LIMIT $2)
    UNION ALL
    (SELECT t.at, 4, 'ledger', jsonb_build_object(
        'transaction_id', t.transaction_id, 'posting', t.kind, 'booking_id', t.booking_id, 'reverses', t.reverses,
        'entries', (SELECT jsonb_agg(jsonb_build_object('code', a.code, 'currency', e.currency, 'debit', e.debit,
                                                        'credit', e.credit) ORDER BY e.entry_id)
                    FROM app.ledger_entries e JOIN app.accounts a USING (account_id)
                    WHERE e.transaction_id = t.transaction_id))
     FROM app.ledger_transactions t WHERE t.correlation_id = $1 ORDER BY t.at LIMIT $2)
    UNION ALL
    (SELECT at, 5, 'audit', jsonb_build_object(
        'audit_id', audit_id, 'action', action, 'subject_kind', subject_kind, 'subject_id', subject_id,
        'actor_id', actor_id, 'actor_role', actor_role, 'reason', reason)
     FROM audit.events WHERE correlation_id = $1 ORDER BY at LIMIT $2)
    UNION ALL
    (SELECT at, 6, 'outbox', jsonb_build_object(
        'outbox_id', outbox_id, 'event_id', event_id, 'topic', topic, 'booking_id', booking_id,
        'audience', cardinality(audience))
     FROM app.outbox WHERE correlation_id = $1 ORDER BY at, outbox_id LIMIT $2)
    UNION ALL
    (SELECT j.wanted_at, 7, 'job', jsonb_build_object(
        'job_id', j.job_id, 'name', j.name, 'run_at', j.run_at, 'causation_id', j.causation_id,
        'runs', coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', r.attempt, 'started_at', r.started_at,
                                                              'ended_at', r.ended_at, 'outcome', r.outcome,
                                                              'error', r.error) ORDER BY r.run_id)
                          FROM app.job_runs r WHERE r.job_id = j.job_id), '[]'::jsonb))
     FROM app.jobs j WHERE j.correlation_id = $1 ORDER BY j.wanted_at LIMIT $2)
    UNION ALL
    (SELECT n.wanted_at, 8, 'notification', jsonb_build_object(
        'notification_id', n.notification_id, 'template', n.template, 'person_id', n.person_id,
        'booking_id', n.booking_id, 'causation_id', n.event_id, 'due_at', n.due_at,
        'attempts', coalesce((SELECT jsonb_agg(jsonb_build_object('channel', a.channel, 'outcome', a.outcome,
                                                                  'code', a.code, 'tried_at', a.at, 'ms', a.ms)
                                               ORDER BY a.attempt_id)
                              FROM app.notification_attempts a WHERE a.notification_id = n.notification_id),
                             '[]'::jsonb))
     FROM app.notifications n WHERE n.correlation_id = $1 ORDER BY n.wanted_at LIMIT $2)
)
SELECT at, kind, body FROM story ORDER BY at, rank, body ->> 'seq'
"""


async def story(tx: Tx, correlation_id: str, limit: int) -> list[asyncpg.Record]:
    """Return everything that carries this correlation id, in order of time, at most `limit` of each kind."""
    return await tx.fetch(STORY, correlation_id, limit)
