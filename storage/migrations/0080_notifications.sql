-- Notifications: how each person wants to be told, where their browsers are, who was to be told what, and each attempt.
-- No address and no text stands here in clear: texts are rendered when they are sent, and forgotten.

CREATE TABLE app.notification_settings (
    person_id uuid PRIMARY KEY REFERENCES app.people,
    language text NOT NULL,
    quiet_from_min integer,                    -- minutes after local midnight; both NULL: no quiet hours
    quiet_until_min integer,
    time_zone text,                            -- NULL: the technician's own, else that of the visit's area
    channels text[],                           -- NULL: the usual ones
    CHECK ((quiet_from_min IS NULL) = (quiet_until_min IS NULL)),
    CHECK (quiet_from_min BETWEEN 0 AND 1439 AND quiet_until_min BETWEEN 0 AND 1439),
    CHECK (quiet_from_min <> quiet_until_min)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.notification_settings TO doorstep_app;

CREATE TABLE app.push_subscriptions (
    subscription_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES app.people,
    family_id uuid,                            -- the session that made it: signed out, it gets nothing any more
    endpoint_hash bytea NOT NULL UNIQUE,       -- SHA-256: a browser belongs to who signed in last
    sealed bytea NOT NULL,                     -- endpoint and keys, under the person's key
    created_at timestamptz NOT NULL
);
CREATE INDEX push_subscriptions_person ON app.push_subscriptions (person_id, created_at DESC);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.push_subscriptions TO doorstep_app;

CREATE TABLE app.notifications (
    notification_id uuid PRIMARY KEY,          -- follows from event, person and template: it can never be wanted twice
    person_id uuid NOT NULL REFERENCES app.people,
    template text NOT NULL,
    event_id uuid NOT NULL REFERENCES app.booking_events,   -- its cause
    booking_id uuid NOT NULL,
    technician_id uuid,                        -- who it is about
    correlation_id text NOT NULL,
    at_once boolean NOT NULL,                  -- false: quiet hours hold it back
    wanted_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,               -- not before this: a reminder is wanted days ahead
    useful_until timestamptz NOT NULL,
    not_before timestamptz NOT NULL,           -- due_at, or the end of the quiet hours that hold it back
    sending_until timestamptz,                 -- the lease of whoever sends it just now
    finished_at timestamptz                    -- nothing is left to be tried
);
CREATE INDEX notifications_person ON app.notifications (person_id, due_at DESC, notification_id DESC);
CREATE INDEX notifications_correlation ON app.notifications (correlation_id);
CREATE INDEX notifications_booking ON app.notifications (booking_id);
GRANT SELECT, INSERT, UPDATE (not_before, sending_until, finished_at) ON app.notifications TO doorstep_app;

CREATE TABLE app.notification_attempts (
    attempt_id uuid PRIMARY KEY DEFAULT uuidv7(),
    notification_id uuid NOT NULL REFERENCES app.notifications,
    channel text NOT NULL,                     -- 'none' where it never came to choosing one
    target_id uuid,                            -- which of a person's browsers; never an address
    outcome text NOT NULL CHECK (outcome IN ('sent', 'failed', 'skipped')),
    final boolean NOT NULL,                    -- false: it is tried again
    code text NOT NULL,
    ms integer,                                -- how long the other side took
    at timestamptz NOT NULL
);
CREATE INDEX notification_attempts_notification ON app.notification_attempts (notification_id);
SELECT app.make_append_only('app.notification_attempts');

-- Whoever is erased is told nothing more, and what was kept to tell them goes with them.
CREATE FUNCTION app.forget_how_to_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM app.push_subscriptions WHERE person_id = NEW.person_id;
    DELETE FROM app.notification_settings WHERE person_id = NEW.person_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_how_to_tell AFTER UPDATE OF erased_at ON app.people FOR EACH ROW
    WHEN (NEW.erased_at IS NOT NULL) EXECUTE FUNCTION app.forget_how_to_tell();
