"""One story by its correlation id, gathered from every record that carries it; each part bounded, in one snapshot.

Each item has the id by which others name it as their cause, and names its own: an event caused the row of the outbox,
the messages, posts, notifications and jobs that followed it, a job caused what came of it. Null: the request itself.
"""

import asyncpg

from storage.db import Tx

STORY = """
WITH story AS (
    (SELECT at, 1 AS rank, 'request' AS kind, request_id AS id, NULL::uuid AS caused_by, jsonb_build_object(
        'request_id', request_id, 'route', route, 'status', status, 'actor_id', actor_id, 'actor_role', actor_role,
        'booking_id', booking_id) AS body
     FROM app.requests WHERE correlation_id = $1 ORDER BY at LIMIT $2)
    UNION ALL
    (SELECT created_at, 1, 'request', match_id, NULL, jsonb_build_object(
        'route', 'POST /v1/discovery', 'status', 200, 'actor_id', customer_id, 'actor_role', 'customer',
        'match_id', match_id, 'reason', reason)
     FROM app.matches WHERE correlation_id = $1 ORDER BY created_at LIMIT $2)
    UNION ALL
    (SELECT created_at, 2, 'payment', intent_id, NULL, jsonb_build_object(
        'intent_id', intent_id, 'booking_id', booking_id, 'wanted', kind, 'purpose', purpose, 'amount', amount,
        'currency', currency, 'status', status, 'gateway', gateway, 'attempts', attempts, 'settled_at', settled_at)
     FROM app.payment_intents WHERE correlation_id = $1 ORDER BY created_at LIMIT $2)
    UNION ALL
    (SELECT at, 3, 'event', event_id, causation_id, jsonb_build_object(
        'event_id', event_id, 'booking_id', booking_id, 'seq', seq, 'type', type, 'actor_id', actor_id,
        'actor_role', actor_role, 'data', data)
     FROM app.booking_events WHERE correlation_id = $1 ORDER BY at, seq LIMIT $2)
    UNION ALL
    (SELECT t.at, 4, 'ledger', t.transaction_id, NULL, jsonb_build_object(
        'transaction_id', t.transaction_id, 'posting', t.kind, 'booking_id', t.booking_id, 'reverses', t.reverses,
        'entries', (SELECT jsonb_agg(jsonb_build_object('code', a.code, 'currency', e.currency, 'debit', e.debit,
                                                        'credit', e.credit) ORDER BY e.entry_id)
                    FROM app.ledger_entries e JOIN app.accounts a USING (account_id)
                    WHERE e.transaction_id = t.transaction_id))
     FROM app.ledger_transactions t WHERE t.correlation_id = $1 ORDER BY t.at LIMIT $2)
    UNION ALL
    (SELECT at, 5, 'audit', audit_id, NULL, jsonb_build_object(
        'audit_id', audit_id, 'action', action, 'subject_kind', subject_kind, 'subject_id', subject_id,
        'actor_id', actor_id, 'actor_role', actor_role, 'reason', reason)
     FROM audit.events WHERE correlation_id = $1 ORDER BY at LIMIT $2)
    UNION ALL
    (SELECT at, 6, 'outbox', NULL, event_id, jsonb_build_object(
        'outbox_id', outbox_id, 'event_id', event_id, 'topic', topic, 'booking_id', booking_id,
        'audience', cardinality(audience))
     FROM app.outbox WHERE correlation_id = $1 ORDER BY at, outbox_id LIMIT $2)
    UNION ALL
    (SELECT j.wanted_at, 8, 'job', j.job_id, j.causation_id, jsonb_build_object(
        'job_id', j.job_id, 'name', j.name, 'run_at', j.run_at,
        'runs', coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', r.attempt, 'started_at', r.started_at,
                                                              'ended_at', r.ended_at, 'outcome', r.outcome,
                                                              'error', r.error) ORDER BY r.run_id)
                          FROM app.job_runs r WHERE r.job_id = j.job_id), '[]'::jsonb))
     FROM app.jobs j WHERE j.correlation_id = $1 ORDER BY j.wanted_at LIMIT $2)
    UNION ALL
    (SELECT n.wanted_at, 9, 'notification', n.notification_id, n.event_id, jsonb_build_object(
        'notification_id', n.notification_id, 'template', n.template, 'person_id', n.person_id,
        'booking_id', n.booking_id, 'due_at', n.due_at,
        'attempts', coalesce((SELECT jsonb_agg(jsonb_build_object('channel', a.channel, 'outcome', a.outcome,
                                                                  'code', a.code, 'tried_at', a.at, 'ms', a.ms)
                                               ORDER BY a.attempt_id)
                              FROM app.notification_attempts a WHERE a.notification_id = n.notification_id),
                             '[]'::jsonb))
     FROM app.notifications n WHERE n.correlation_id = $1 ORDER BY n.wanted_at LIMIT $2)
    UNION ALL
    (SELECT h.at, 7, 'alert', h.event_id, h.causation_id, jsonb_build_object(
        'event_id', h.event_id, 'alert_id', h.alert_id, 'type', 'alert.' || h.what, 'alert', a.kind,
        'booking_id', a.booking_id, 'actor_id', h.actor_id, 'actor_role', h.actor_role,
        'snoozed_until', h.snoozed_until)
     FROM app.alert_events h JOIN app.alerts a USING (alert_id)
     WHERE h.correlation_id = $1 ORDER BY h.at LIMIT $2)
    UNION ALL
    (SELECT d.created_at, 10, 'webhook', d.delivery_id, d.event_id, jsonb_build_object(
        'delivery_id', d.delivery_id, 'webhook_id', d.webhook_id, 'event_id', d.event_id, 'type', d.type,
        'booking_id', d.booking_id, 'replay', d.replay, 'state', d.state, 'settled_at', d.settled_at,
        'attempts', coalesce((SELECT jsonb_agg(jsonb_build_object('tried_at', t.at, 'ms', t.took_ms,
                                                                  'status', t.status, 'error', t.error)
                                               ORDER BY t.attempt_id)
                              FROM app.webhook_attempts t WHERE t.delivery_id = d.delivery_id), '[]'::jsonb))
     FROM app.webhook_deliveries d WHERE d.correlation_id = $1 ORDER BY d.created_at LIMIT $2)
    UNION ALL
    (SELECT s.at, 11, 'socket', NULL, s.event_id, jsonb_build_object(
        'event_id', s.event_id, 'type', e.type, 'booking_id', e.booking_id, 'node', s.node, 'sockets', s.sockets)
     FROM (SELECT event_id, type, booking_id FROM app.booking_events WHERE correlation_id = $1
           UNION ALL
           SELECT h.event_id, 'alert.' || h.what, a.booking_id
           FROM app.alert_events h JOIN app.alerts a USING (alert_id) WHERE h.correlation_id = $1) e
     JOIN app.relayed s USING (event_id) ORDER BY s.at LIMIT $2)
)
SELECT at, kind, id, caused_by, body FROM story ORDER BY at, rank, (body ->> 'seq')::integer, id
"""


async def story(tx: Tx, correlation_id: str, limit: int) -> list[asyncpg.Record]:
    """Return everything that carries this correlation id, in order of time, at most `limit` of each kind."""
    return await tx.fetch(STORY, correlation_id, limit)
