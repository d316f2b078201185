-- The audit chain's work list, and the record of requests that changed something.

CREATE FUNCTION app.write_audit_events(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit.events (audit_id, at, actor_id, actor_role, action, subject_kind, subject_id, reason, data,
                              correlation_id)
    SELECT audit_id, at, actor_id, actor_role, action, subject_kind, subject_id, reason, data, correlation_id
    FROM jsonb_populate_recordset(NULL::audit.events, rows)
$$;

-- What is written and not yet sealed, so that the sealer never searches the whole history. A row comes by trigger,
-- however the event came; the transaction that writes the seal takes it away. A work list, not history.
CREATE TABLE audit.unsealed (
    audit_id uuid PRIMARY KEY REFERENCES audit.events,
    xid xid8 NOT NULL
);
CREATE INDEX unsealed_order ON audit.unsealed (xid, audit_id);
GRANT SELECT, DELETE ON audit.unsealed TO doorstep_app;
GRANT SELECT ON audit.unsealed TO doorstep_audit;

CREATE FUNCTION audit.list_unsealed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO audit.unsealed (audit_id, xid) VALUES (NEW.audit_id, NEW.xid);
    RETURN NULL;
END $$;
CREATE TRIGGER list_unsealed AFTER INSERT ON audit.events FOR EACH ROW EXECUTE FUNCTION audit.list_unsealed();
CREATE INDEX audit_events_actor ON audit.events (actor_id, audit_id);
CREATE INDEX audit_events_action ON audit.events (action, audit_id);

-- A command with an Idempotency-Key, as it was answered: the first line of its story. Written in the same commit.
CREATE TABLE app.requests (
    request_id uuid PRIMARY KEY,
    correlation_id text NOT NULL,
    at timestamptz NOT NULL,
    route text NOT NULL,
    status integer NOT NULL,
    actor_id uuid,
    actor_role text NOT NULL,
    booking_id uuid
);
CREATE INDEX requests_correlation ON app.requests (correlation_id);
SELECT app.make_append_only('app.requests');

CREATE FUNCTION app.write_requests(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.requests (request_id, correlation_id, at, route, status, actor_id, actor_role, booking_id)
    SELECT request_id, correlation_id, at, route, status, actor_id, actor_role, booking_id
    FROM jsonb_populate_recordset(NULL::app.requests, rows)
$$;
CREATE INDEX outbox_correlation ON app.outbox (correlation_id);
CREATE INDEX matches_correlation ON app.matches (correlation_id);
