-- The library wakes every worker at each insert and delete of a job. Ours wake for a job that is due now, and for one that
-- is to be tried again (so that they learn when), once a commit: a job of tomorrow, or one that is done, is nobody's
-- news. Polling stays the guarantee.
DROP TRIGGER tg_pgqueuer_changed ON jobs.pgqueuer;

CREATE OR REPLACE FUNCTION jobs.fn_pgqueuer_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed WHERE status = 'queued' AND (TG_OP = 'UPDATE' OR execute_after <= now())) THEN
        PERFORM pg_notify('ch_pgqueuer', json_build_object(
            'channel', 'ch_pgqueuer', 'operation', lower(TG_OP), 'sent_at', now(), 'table', 'pgqueuer',
            'type', 'table_changed_event')::text);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT ON jobs.pgqueuer
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jobs.fn_pgqueuer_changed();
CREATE TRIGGER tg_pgqueuer_again AFTER UPDATE ON jobs.pgqueuer
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jobs.fn_pgqueuer_changed();

-- "As soon as possible" is by the database's clock, so that a serving machine whose clock runs ahead delays nothing.
CREATE OR REPLACE FUNCTION app.write_jobs(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.jobs (job_id, name, payload, correlation_id, causation_id, wanted_at, run_at)
    SELECT job_id, name, payload, correlation_id, causation_id, wanted_at, run_at
    FROM jsonb_populate_recordset(NULL::app.jobs, rows);
    INSERT INTO jobs.pgqueuer (priority, status, entrypoint, execute_after, payload)
    SELECT 0, 'queued', x.name, CASE WHEN x.run_at > x.wanted_at THEN x.run_at ELSE now() END,
           convert_to(to_jsonb(x)::text, 'UTF8')
    FROM jsonb_populate_recordset(NULL::app.jobs, rows) AS x;
END $$;
