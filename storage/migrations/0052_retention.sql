-- Work lists and old stories go by policy, in bounded batches; truth, ledger, audit and matches never do.
-- The serving role may not delete from them: it may only ask, and no asking reaches what is young.

-- Like refuse_change, but a row past a floor of ninety days may be taken away by app.forget_stories (and by nobody who
-- does not say so). The argument names the column that tells the row's age.
CREATE FUNCTION app.refuse_change_of_young() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('doorstep.retention', true) = 'on'
       AND (to_jsonb(OLD) ->> TG_ARGV[0])::timestamptz < now() - interval '90 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on %.% refused: it is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER refuse_row_change ON app.requests;
CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON app.requests
    FOR EACH ROW EXECUTE FUNCTION app.refuse_change_of_young('at');
DROP TRIGGER refuse_row_change ON app.jobs;
CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON app.jobs
    FOR EACH ROW EXECUTE FUNCTION app.refuse_change_of_young('wanted_at');
DROP TRIGGER refuse_row_change ON app.job_runs;
CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON app.job_runs
    FOR EACH ROW EXECUTE FUNCTION app.refuse_change_of_young('ended_at');
CREATE INDEX requests_at ON app.requests (at);
CREATE INDEX jobs_wanted_at ON app.jobs (wanted_at);
CREATE INDEX deadlines_fired ON app.deadlines (fired_at) WHERE fired_at IS NOT NULL;

-- Takes away the oldest rows of the outbox that everybody has read: never one that a subscriber has not handled, that a
-- dead letter may still need, or that is the newest (a cursor at the head of a quiet house stays good).
CREATE FUNCTION app.forget_outbox(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    WITH held AS (
        SELECT (SELECT count(*) FROM app.subscription_backlog)
             + (SELECT count(*) FROM app.dead_letters WHERE outcome IS DISTINCT FROM 'done') AS rows),
    oldest AS (
        SELECT outbox_id, event_id, xid, at FROM app.outbox ORDER BY xid, outbox_id
        LIMIT least(batch, 10000) + (SELECT rows FROM held))
    DELETE FROM app.outbox o USING oldest x
    WHERE o.outbox_id = x.outbox_id
      AND x.at < least(before, now() - interval '1 day')
      AND x.xid < pg_snapshot_xmin(pg_current_snapshot())
      AND x.outbox_id < (SELECT max(outbox_id) FROM app.outbox)
      AND NOT EXISTS (SELECT FROM app.subscriptions s WHERE (s.xid, s.outbox_id) < (x.xid, x.outbox_id))
      AND NOT EXISTS (SELECT FROM app.subscription_backlog b WHERE b.outbox_id = x.outbox_id)
      AND NOT EXISTS (SELECT FROM app.dead_letters d
                      WHERE d.outbox_id = x.outbox_id AND d.outcome IS DISTINCT FROM 'done');
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

CREATE FUNCTION app.forget_relayed(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    DELETE FROM app.relayed WHERE (event_id, node) IN (
        SELECT event_id, node FROM app.relayed WHERE at < least(before, now() - interval '1 day')
        ORDER BY at LIMIT least(batch, 10000));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Which commands were asked, and which jobs ran: the first and the last lines of old stories. Ninety days is the floor.
CREATE FUNCTION app.forget_requests(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    PERFORM set_config('doorstep.retention', 'on', true);
    DELETE FROM app.requests WHERE request_id IN (
        SELECT request_id FROM app.requests WHERE at < least(before, now() - interval '90 days')
        ORDER BY at LIMIT least(batch, 10000));
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('doorstep.retention', '', true);
    RETURN gone;
END $$;

CREATE FUNCTION app.forget_jobs(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    old uuid[];
    gone bigint;
BEGIN
    PERFORM set_config('doorstep.retention', 'on', true);
    SELECT array_agg(job_id) INTO old FROM (
        SELECT j.job_id FROM app.jobs j
        WHERE j.wanted_at < least(before, now() - interval '90 days')
          AND NOT EXISTS (SELECT FROM app.job_runs r WHERE r.job_id = j.job_id
                          AND r.ended_at >= least(before, now() - interval '90 days'))
          AND j.job_id NOT IN (SELECT (convert_from(q.payload, 'UTF8')::jsonb ->> 'job_id')::uuid
                               FROM jobs.pgqueuer q WHERE q.payload IS NOT NULL)     -- it waits, runs or is held
        ORDER BY j.wanted_at LIMIT least(batch, 10000)) x;
    DELETE FROM app.job_runs WHERE job_id = ANY (old);
    DELETE FROM app.jobs WHERE job_id = ANY (old);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('doorstep.retention', '', true);
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION app.forget_outbox(timestamptz, integer), app.forget_relayed(timestamptz, integer),
    app.forget_requests(timestamptz, integer), app.forget_jobs(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget_outbox(timestamptz, integer), app.forget_relayed(timestamptz, integer),
    app.forget_requests(timestamptz, integer), app.forget_jobs(timestamptz, integer) TO doorstep_app;
GRANT DELETE ON app.dead_letters TO doorstep_app;    -- of those that were replayed well, long ago
