-- Outgoing webhooks: who wants to hear of which events, what is on its way to them, and how each attempt went.

CREATE TABLE app.webhooks (
    webhook_id uuid PRIMARY KEY,
    lane smallint NOT NULL CHECK (lane BETWEEN 0 AND 19),  -- the name of its jobs, so that none waits for another's receiver
    url text NOT NULL,
    topics text[] NOT NULL,
    description text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    reason text CHECK (reason IN ('by_hand', 'failing', 'behind', 'gone')),
    created_at timestamptz NOT NULL,
    created_by uuid,
    changed_at timestamptz NOT NULL,                       -- of the state
    failing_since timestamptz                              -- no delivery went well since then
);
CREATE UNIQUE INDEX webhooks_lane ON app.webhooks (lane) WHERE state <> 'deleted';
GRANT SELECT, INSERT, UPDATE (url, topics, description, state, reason, changed_at, failing_since)
    ON app.webhooks TO doorstep_app;

CREATE TABLE app.webhook_secrets (
    secret_id uuid PRIMARY KEY DEFAULT uuidv7(),
    webhook_id uuid NOT NULL REFERENCES app.webhooks,
    box bytea NOT NULL,                                    -- sealed under a key of the house's, bound to the webhook
    made_at timestamptz NOT NULL,
    ends_at timestamptz                                    -- null: the present one
);
CREATE INDEX webhook_secrets_webhook ON app.webhook_secrets (webhook_id);
GRANT SELECT, INSERT, UPDATE (ends_at), DELETE ON app.webhook_secrets TO doorstep_app;

CREATE TABLE app.webhook_deliveries (
    delivery_id uuid PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES app.webhooks,
    event_id uuid NOT NULL,                                -- what the receiver knows it by, on every attempt and replay
    type text NOT NULL,
    booking_id uuid,
    correlation_id text NOT NULL,
    replay boolean NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead', 'dropped')),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    settled_at timestamptz
);
CREATE UNIQUE INDEX webhook_deliveries_once ON app.webhook_deliveries (webhook_id, event_id) WHERE NOT replay;
CREATE INDEX webhook_deliveries_list ON app.webhook_deliveries (webhook_id, delivery_id);
CREATE INDEX webhook_deliveries_pending ON app.webhook_deliveries (webhook_id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_correlation ON app.webhook_deliveries (correlation_id);
CREATE INDEX webhook_deliveries_old ON app.webhook_deliveries (created_at);
GRANT SELECT, INSERT, UPDATE (state, attempts, next_try_at, settled_at) ON app.webhook_deliveries TO doorstep_app;

-- Added to and never edited, by privilege; whole deliveries go with all their attempts when they are old.
CREATE TABLE app.webhook_attempts (
    attempt_id uuid PRIMARY KEY DEFAULT uuidv7(),
    delivery_id uuid NOT NULL REFERENCES app.webhook_deliveries ON DELETE CASCADE,
    at timestamptz NOT NULL,
    took_ms integer NOT NULL,
    status smallint,                                       -- what was answered; null: nothing was
    error text                                             -- a word of ours, never one of the receiver's
);
CREATE INDEX webhook_attempts_delivery ON app.webhook_attempts (delivery_id);
GRANT SELECT, INSERT ON app.webhook_attempts TO doorstep_app;

CREATE FUNCTION app.write_webhook_deliveries(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.webhook_deliveries
        (delivery_id, webhook_id, event_id, type, booking_id, correlation_id, replay, created_at)
    SELECT delivery_id, webhook_id, event_id, type, booking_id, correlation_id, replay, created_at
    FROM jsonb_populate_recordset(NULL::app.webhook_deliveries, rows)
    ON CONFLICT (webhook_id, event_id) WHERE NOT replay DO NOTHING
$$;

-- Forgets deliveries that came to an end, with their attempts; what still waits stays, and so does the last day.
CREATE FUNCTION app.forget_webhook_deliveries(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    DELETE FROM app.webhook_deliveries
    WHERE created_at < least(before, now() - interval '1 day') AND state <> 'pending';
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION app.forget_webhook_deliveries(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget_webhook_deliveries(timestamptz) TO doorstep_app;
