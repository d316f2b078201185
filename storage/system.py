"""How the queues, the subscribers and the tables stand: counted by PostgreSQL, bounded so that looking stays cheap."""

import asyncpg

from storage.db import Tx

MOST = 10_000  # nobody is told more exactly than that how far behind a subscriber is

SUBSCRIBERS = f"""
SELECT s.subscriber, s.xid::text::bigint AS xid, s.outbox_id, s.epoch, s.attempts, s.next_try_at, s.last_error,
       s.updated_at, u.rows + b.rows AS rows,
       greatest(0, extract(epoch FROM now() - least(u.oldest_at, b.oldest_at)))::float8 AS lag_s
FROM app.subscriptions s
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, min(at) AS oldest_at FROM (
        SELECT o.at FROM app.outbox o WHERE (o.xid, o.outbox_id) > (s.xid, s.outbox_id)
        ORDER BY o.xid, o.outbox_id LIMIT {MOST}) x) u
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, min(at) AS oldest_at FROM (
        SELECT o.at FROM app.subscription_backlog l JOIN app.outbox o USING (outbox_id)
        WHERE l.subscriber = s.subscriber ORDER BY l.ordinal LIMIT {MOST}) x) b
ORDER BY s.subscriber
"""
LETTERS = """
SELECT subscriber, count(*) AS letters FROM app.dead_letters WHERE outcome IS DISTINCT FROM 'done' GROUP BY subscriber
"""
OUTBOX = """
SELECT (SELECT epoch FROM app.epoch) AS epoch, old.at AS oldest_at, new.outbox_id - old.outbox_id + 1 AS rows,
       (new.outbox_id - old.outbox_id) * 86400.0 / greatest(60, extract(epoch FROM new.at - old.at)) AS rows_per_day
FROM (SELECT outbox_id, at FROM app.outbox ORDER BY outbox_id LIMIT 1) old,
     (SELECT outbox_id, at FROM app.outbox ORDER BY outbox_id DESC LIMIT 1) new
"""
AUDIT = """
SELECT (SELECT max(seal) FROM audit.seals) AS last_seal,
       (SELECT e.at FROM audit.seals JOIN audit.events e USING (audit_id) ORDER BY seal DESC LIMIT 1) AS sealed_upto,
       (SELECT count(*) FROM audit.unsealed) AS unsealed
"""
DATABASE = """
SELECT current_setting('server_version') AS version,
       (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'm'))::bigint AS bytes,
       pg_postmaster_start_time() AS started_at,
       (SELECT CASE WHEN now() - stats_reset >= interval '1 hour'  -- a burst of minutes says nothing of a day
                    THEN wal_bytes * 86400 / extract(epoch FROM now() - stats_reset) END FROM pg_stat_wal)::float8
           AS wal_bytes_per_day,
       (SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'doorstep-listen') AS nodes
"""
HELD = f"""
SELECT count(*) AS rows, extract(epoch FROM now() - min(at))::float8 AS oldest_s FROM (
    SELECT at FROM app.outbox WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, outbox_id LIMIT {MOST}) x
"""
HOLDER = """
SELECT who FROM (
    SELECT backend_xid AS xid,
           format('process %s (%s)', pid, concat_ws(', ', usename, nullif(application_name, ''), state)) AS who
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    UNION ALL
    SELECT transaction, format('the prepared transaction %s', gid) FROM pg_prepared_xacts) x
ORDER BY age(xid) DESC LIMIT 1
"""
TABLES = """
SELECT CASE WHEN n.nspname = 'telemetry' THEN 'telemetry.fixes' ELSE format('%s.%s', n.nspname, c.relname) END AS name,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       sum(c.reltuples) FILTER (WHERE c.reltuples >= 0)::bigint AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN ('app', 'audit', 'jobs', 'metrics', 'telemetry')
GROUP BY 1 ORDER BY 2 DESC LIMIT $1
"""


async def held(tx: Tx) -> tuple[int, float, str]:
    """Return how many events an open transaction holds back (up to `MOST`), for how many seconds, and whose it is."""
    r = await tx.fetchrow(HELD)
    if r is None or not r["rows"]:
        return 0, 0.0, ""
    return r["rows"], r["oldest_s"], await tx.fetchval(HOLDER) or "a transaction that has just ended"


async def subscribers(tx: Tx) -> list[asyncpg.Record]:
    """List the ordered subscribers with how far behind they are (`rows` counts up to `MOST`)."""
    return await tx.fetch(SUBSCRIBERS)


async def dead_letters(tx: Tx) -> dict[str, int]:
    """Count open dead letters by subscriber."""
    return {record["subscriber"]: record["letters"] for record in await tx.fetch(LETTERS)}


async def outbox(tx: Tx) -> asyncpg.Record | None:
    """Return the size of the outbox, how fast it grows, and the epoch; None while it is empty."""
    return await tx.fetchrow(OUTBOX)


async def audit(tx: Tx) -> asyncpg.Record | None:
    """Return the newest seal, how far it reaches, and how many decisions wait for theirs."""
    return await tx.fetchrow(AUDIT)


async def database(tx: Tx) -> asyncpg.Record | None:
    """Return the server's version, size and write-ahead log, and how many of our processes listen."""
    return await tx.fetchrow(DATABASE)


async def tables(tx: Tx, limit: int) -> list[asyncpg.Record]:
    """List the largest tables with their indexes; rows as PostgreSQL last estimated them, None for never."""
    return await tx.fetch(TABLES, limit)
