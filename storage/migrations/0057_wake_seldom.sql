-- A NOTIFY holds an instance-wide lock from before its commit until the flush is done: with one in every commit, commits
-- stand in a line, and PostgreSQL cannot flush several at once. So at most one each 20 ms is sent; whoever listens looks
-- again a moment after each (storage/listen.py), and polling stays the guarantee.
CREATE SEQUENCE app.woken_at_ms MINVALUE 0 START 0; -- a sequence, since others must see it before we commit
GRANT USAGE, SELECT, UPDATE ON SEQUENCE app.woken_at_ms TO doorstep_app;

CREATE OR REPLACE FUNCTION app.wake_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE at_ms bigint := extract(epoch FROM clock_timestamp()) * 1000; woken_ms bigint;
BEGIN
    SELECT last_value INTO woken_ms FROM app.woken_at_ms;
    IF abs(at_ms - woken_ms) >= 20 THEN -- a clock that was set back wakes too
        PERFORM setval('app.woken_at_ms', at_ms);
        PERFORM pg_notify('doorstep_outbox', '');
    END IF;
    RETURN NULL;
END $$;

-- The same for the workers of the job library, which polls each second.
CREATE SEQUENCE jobs.woken_at_ms MINVALUE 0 START 0;
GRANT USAGE, SELECT, UPDATE ON SEQUENCE jobs.woken_at_ms TO doorstep_app;

CREATE OR REPLACE FUNCTION jobs.fn_pgqueuer_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE at_ms bigint := extract(epoch FROM clock_timestamp()) * 1000; woken_ms bigint;
BEGIN
    SELECT last_value INTO woken_ms FROM jobs.woken_at_ms;
    IF abs(at_ms - woken_ms) >= 20
       AND EXISTS (SELECT FROM changed WHERE status = 'queued' AND (TG_OP = 'UPDATE' OR execute_after <= now())) THEN
        PERFORM setval('jobs.woken_at_ms', at_ms);
        PERFORM pg_notify('ch_pgqueuer', json_build_object(
            'channel', 'ch_pgqueuer', 'operation', lower(TG_OP), 'sent_at', now(), 'table', 'pgqueuer',
            'type', 'table_changed_event')::text);
    END IF;
    RETURN NULL;
END $$;
