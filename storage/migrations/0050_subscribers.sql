-- Ordered subscribers of the outbox, what they could not do, and events that are of no booking.

ALTER TABLE app.outbox ADD COLUMN payload jsonb;     -- what happened, where no booking event says it; no personal data
GRANT INSERT (payload) ON app.outbox TO doorstep_app;

CREATE OR REPLACE FUNCTION app.write_outbox(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.outbox (event_id, topic, booking_id, area_id, audience, removed_id, correlation_id, at, payload)
    SELECT event_id, topic, booking_id, area_id, audience, removed_id, correlation_id, at, payload
    FROM jsonb_populate_recordset(NULL::app.outbox, rows)
$$;

-- One row a subscriber: everything at or before (xid, outbox_id) was handled, and no row above `highest` ever was.
ALTER TABLE app.subscriptions
    ADD COLUMN highest bigint NOT NULL DEFAULT 0,    -- the highest outbox_id that it handled: a restore reads it
    ADD COLUMN epoch text NOT NULL DEFAULT '',       -- the life of the database that the place belongs to
    ADD COLUMN failing uuid,                         -- the event that is being retried
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN next_try_at timestamptz,
    ADD COLUMN last_error text;                      -- the kind of error only
GRANT DELETE ON app.subscriptions TO doorstep_app;   -- of one that no release has any more

-- What a subscriber had not handled when the database began another life; read before anything new, in this order.
CREATE TABLE app.subscription_backlog (
    subscriber text NOT NULL,
    ordinal bigint NOT NULL,
    outbox_id bigint NOT NULL,
    PRIMARY KEY (subscriber, ordinal),
    UNIQUE (subscriber, outbox_id)
);
GRANT SELECT, DELETE ON app.subscription_backlog TO doorstep_app;

-- What a subscriber could not do after all its tries. The row of the outbox is kept as long as the letter is open.
CREATE TABLE app.dead_letters (
    dead_letter_id uuid PRIMARY KEY DEFAULT uuidv7(),
    subscriber text NOT NULL,
    event_id uuid NOT NULL,
    outbox_id bigint NOT NULL,
    topic text NOT NULL,
    correlation_id text NOT NULL,
    attempts integer NOT NULL,
    error text NOT NULL,                             -- the kind of error only
    at timestamptz NOT NULL,
    replayed_at timestamptz,                         -- the last replay; `outcome` says how it went
    replayed_by uuid,
    outcome text CHECK (outcome IN ('done', 'failed')),
    UNIQUE (subscriber, event_id)
);
CREATE INDEX dead_letters_open ON app.dead_letters (at) WHERE outcome IS DISTINCT FROM 'done';
CREATE INDEX dead_letters_correlation ON app.dead_letters (correlation_id);
GRANT SELECT, INSERT, UPDATE (attempts, error, at, replayed_at, replayed_by, outcome) ON app.dead_letters TO doorstep_app;

-- Names this life of the database. Cursors carry the name; a restore (into another cluster, to an earlier moment of this
-- one, or beside it as another database) gets a new one, so that old cursors are refused instead of skipping events.
-- Transaction ids start anew with it, so what happened before becomes history below the horizon, and what a subscriber
-- had not handled of it goes onto its backlog: by event, neither lost nor handled again.
CREATE OR REPLACE FUNCTION app.renew_epoch() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_lived text := (
        SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid)
        FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database());
    name text;
    newest bigint;
    oldest_open bigint;
BEGIN
    SELECT epoch INTO name FROM app.epoch WHERE life = now_lived;
    IF FOUND THEN
        RETURN name;
    END IF;
    LOCK TABLE app.outbox IN SHARE ROW EXCLUSIVE MODE;   -- whoever writes now has ended, or writes after this
    SELECT epoch INTO name FROM app.epoch WHERE life = now_lived;
    IF FOUND THEN
        RETURN name;
    END IF;
    name := left(md5(gen_random_uuid()::text), 12);
    INSERT INTO app.epoch (epoch, life) VALUES (name, now_lived)
    ON CONFLICT (only_row) DO UPDATE SET epoch = EXCLUDED.epoch, life = EXCLUDED.life;
    oldest_open := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    SELECT coalesce(max(outbox_id), 0) INTO newest FROM app.outbox;
    INSERT INTO app.subscription_backlog (subscriber, ordinal, outbox_id)
    SELECT s.subscriber,
           coalesce((SELECT max(b.ordinal) FROM app.subscription_backlog b WHERE b.subscriber = s.subscriber), 0)
           + row_number() OVER (PARTITION BY s.subscriber ORDER BY (o.xid, o.outbox_id) <= (s.xid, s.outbox_id),
                                o.xid, o.outbox_id),
           o.outbox_id
    FROM app.subscriptions s JOIN app.outbox o
         ON (o.xid, o.outbox_id) > (s.xid, s.outbox_id) OR o.outbox_id > s.highest;
    UPDATE app.subscriptions SET xid = (oldest_open - 1)::text::xid8, outbox_id = newest, highest = newest, epoch = name;
    UPDATE app.outbox SET xid = '3'::xid8 WHERE xid >= oldest_open::text::xid8;
    RETURN name;
END $$;
