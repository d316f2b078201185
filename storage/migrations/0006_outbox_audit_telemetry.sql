-- What happened, in commit-safe order; who decided; where phones were (for a short while).

CREATE TABLE app.outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id uuid NOT NULL,
    topic text NOT NULL,                       -- the event's type
    booking_id uuid,
    area_id uuid,
    audience uuid[] NOT NULL,                  -- the people it concerns, the one taken off included
    removed_id uuid,                           -- a technician for whom this is the last word
    correlation_id text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX outbox_order ON app.outbox (xid, outbox_id);
CREATE INDEX outbox_booking ON app.outbox (booking_id);
CREATE INDEX outbox_audience ON app.outbox USING gin (audience);
GRANT SELECT, INSERT (event_id, topic, booking_id, area_id, audience, removed_id, correlation_id, at)
    ON app.outbox TO doorstep_app;             -- not the xid: nobody writes into the past of the order

-- NOTIFY only wakes; polling is the guarantee.
CREATE FUNCTION app.wake_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorstep_outbox', '');
    RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON app.outbox FOR EACH STATEMENT EXECUTE FUNCTION app.wake_outbox();

CREATE TABLE app.subscriptions (               -- ordered subscribers with side effects; nodes' relays keep their own cursor
    subscriber text PRIMARY KEY,
    xid xid8 NOT NULL,
    outbox_id bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON app.subscriptions TO doorstep_app;

CREATE TABLE audit.events (
    audit_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_id uuid,
    actor_role text NOT NULL,
    action text NOT NULL,                      -- 'credential.verified', 'booking.overridden', 'track.read', 'finance.refunded'
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    reason text,
    data jsonb NOT NULL,
    correlation_id text NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX audit_events_correlation ON audit.events (correlation_id);
CREATE INDEX audit_events_subject ON audit.events (subject_kind, subject_id);
CREATE INDEX audit_events_order ON audit.events (xid, audit_id);
SELECT app.make_append_only('audit.events', 'xid');

-- The chain is sealed a moment later, in order, by one writer at a time; sealing adds rows and edits none.
CREATE TABLE audit.seals (
    seal bigint PRIMARY KEY,
    audit_id uuid NOT NULL UNIQUE REFERENCES audit.events,
    prev_hash bytea NOT NULL UNIQUE,
    hash bytea NOT NULL UNIQUE
);
SELECT app.make_append_only('audit.seals');
GRANT SELECT ON audit.events, audit.seals TO doorstep_audit;

-- Which card was seen, opened, or had its credentials viewed: the funnel's own record.
CREATE TABLE metrics.card_views (
    match_id uuid NOT NULL,
    card_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('seen', 'opened', 'credentials')),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (match_id, card_id, kind)
);
GRANT SELECT, INSERT ON metrics.card_views TO doorstep_app, doorstep_metrics;

-- Raw fixes, a partition a day by the day their session opened; whole days are dropped by policy.
CREATE TABLE telemetry.fixes (
    session_day date NOT NULL,
    session_id uuid NOT NULL,
    seq bigint NOT NULL,
    t timestamptz NOT NULL,                    -- the phone's time
    received_at timestamptz NOT NULL,
    lat double precision NOT NULL,
    lon double precision NOT NULL,
    acc_m real,
    spd_mps real,
    hdg_deg real,
    verdict text NOT NULL,                     -- live | late | rejected
    reason text,
    PRIMARY KEY (session_day, session_id, seq)
) PARTITION BY RANGE (session_day);
CREATE TABLE telemetry.fixes_default PARTITION OF telemetry.fixes DEFAULT;
GRANT SELECT, INSERT ON telemetry.fixes TO doorstep_telemetry;

-- Makes the partitions of `first` and the `ahead` days after it; partitions need their owner, so this runs as it.
CREATE FUNCTION telemetry.make_partitions(first date, ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE day date; made integer := 0; name text;
BEGIN
    PERFORM pg_advisory_xact_lock(7266183201);
    FOR day IN SELECT generate_series(first, first + least(ahead, 31), interval '1 day')::date LOOP
        name := 'fixes_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('telemetry.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE telemetry.%I PARTITION OF telemetry.fixes FOR VALUES FROM (%L) TO (%L)',
                           name, day, day + 1);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Drops every day wholly before `keep_from`, and empties the default partition of such days. Returns what went.
CREATE FUNCTION telemetry.drop_partitions(keep_from date) RETURNS TABLE (partition_name text, rows_dropped bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE part record;
BEGIN
    PERFORM pg_advisory_xact_lock(7266183201);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'telemetry.fixes'::regclass AND c.relname ~ '^fixes_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < keep_from
    LOOP
        partition_name := part.relname;
        EXECUTE format('SELECT count(*) FROM telemetry.%I', part.relname) INTO rows_dropped;
        EXECUTE format('DROP TABLE telemetry.%I', part.relname);
        RETURN NEXT;
    END LOOP;
    partition_name := 'fixes_default';
    DELETE FROM telemetry.fixes_default WHERE session_day < keep_from;
    GET DIAGNOSTICS rows_dropped = ROW_COUNT;
    IF rows_dropped > 0 THEN RETURN NEXT; END IF;
END $$;
REVOKE EXECUTE ON FUNCTION telemetry.make_partitions(date, integer), telemetry.drop_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION telemetry.make_partitions(date, integer), telemetry.drop_partitions(date) TO doorstep_telemetry;
