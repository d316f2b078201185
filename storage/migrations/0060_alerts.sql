-- What needs a dispatcher. The row says how an alert stands; its events, append-only, say how it came to that.

ALTER TABLE app.outbox ADD COLUMN IF NOT EXISTS payload jsonb;   -- an alert as it goes out
GRANT INSERT (payload) ON app.outbox TO doorstep_app;

CREATE TABLE app.alerts (
    alert_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('late_to_start', 'predicted_late', 'stopped', 'silent', 'off_route', 'overrun',
                                       'credential_expiring', 'unanswered')),
    subject_id uuid NOT NULL,                  -- the booking; of credential_expiring the credential
    booking_id uuid REFERENCES app.bookings,
    technician_id uuid REFERENCES app.technicians,
    area_id uuid REFERENCES app.service_areas, -- NULL: nobody's area; who serves all of them sees it
    state text NOT NULL CHECK (state IN ('raised', 'acknowledged', 'cleared')),
    snoozed_until timestamptz,                 -- acknowledged until then
    raised_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    data jsonb NOT NULL,                       -- ids, times, codes and numbers
    CHECK (snoozed_until IS NULL OR state = 'acknowledged')
);
CREATE UNIQUE INDEX alerts_one_standing ON app.alerts (subject_id, kind) WHERE state <> 'cleared';
CREATE INDEX alerts_newest ON app.alerts (raised_at DESC, alert_id DESC);
CREATE INDEX alerts_standing ON app.alerts (area_id, raised_at DESC, alert_id DESC) WHERE state <> 'cleared';
CREATE INDEX alerts_booking ON app.alerts (booking_id);
CREATE INDEX alerts_snoozed ON app.alerts (snoozed_until) WHERE snoozed_until IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON app.alerts TO doorstep_app;

CREATE TABLE app.alert_events (
    event_id uuid PRIMARY KEY,
    alert_id uuid NOT NULL REFERENCES app.alerts,
    what text NOT NULL CHECK (what IN ('raised', 'acknowledged', 'snoozed', 'woken', 'cleared')),
    at timestamptz NOT NULL,
    actor_id uuid,                             -- NULL: the system
    actor_role text NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    snoozed_until timestamptz
);
CREATE INDEX alert_events_alert ON app.alert_events (alert_id, at);
CREATE INDEX alert_events_correlation ON app.alert_events (correlation_id);
SELECT app.make_append_only('app.alert_events');

-- Writes what happened to one alert, and the outbox row that carries it to the dispatchers of its area.
CREATE FUNCTION app.tell_alert(a app.alerts, what text, actor_id uuid, actor_role text, correlation_id text,
                               causation_id uuid) RETURNS void LANGUAGE sql AS $$
    WITH told AS (
        INSERT INTO app.alert_events
            (event_id, alert_id, what, at, actor_id, actor_role, correlation_id, causation_id, snoozed_until)
        VALUES (uuidv7(), a.alert_id, what, a.changed_at, actor_id, actor_role, correlation_id, causation_id,
                a.snoozed_until)
        RETURNING event_id
    )
    INSERT INTO app.outbox (event_id, topic, booking_id, area_id, audience, correlation_id, at, payload)
    SELECT event_id, 'alert.' || a.state, a.booking_id, a.area_id, '{}', correlation_id, a.changed_at,
           jsonb_build_object('alert_id', a.alert_id, 'kind', a.kind, 'booking_id', a.booking_id, 'state', a.state,
                              'at', to_char(a.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                              'data', a.data)
    FROM told
$$;

-- Only what changes an alert is told: raising what stands, clearing what does not, acknowledging twice are nothing.
CREATE FUNCTION app.write_alerts(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; a app.alerts;
BEGIN
    FOR r IN
        SELECT * FROM jsonb_to_recordset(rows) AS x(
            what text, alert_id uuid, kinds text[], subject_id uuid, booking_id uuid, technician_id uuid, area_id uuid,
            data jsonb, snoozed_until timestamptz, at timestamptz, actor_id uuid, actor_role text, correlation_id text,
            causation_id uuid)
    LOOP
        IF r.what = 'raised' THEN
            INSERT INTO app.alerts (alert_id, kind, subject_id, booking_id, technician_id, area_id, state, raised_at,
                                    changed_at, data)
            VALUES (r.alert_id, r.kinds[1], r.subject_id, r.booking_id, r.technician_id, r.area_id, 'raised', r.at, r.at,
                    r.data)
            ON CONFLICT (subject_id, kind) WHERE state <> 'cleared' DO NOTHING
            RETURNING * INTO a;
            IF FOUND THEN
                PERFORM app.tell_alert(a, r.what, r.actor_id, r.actor_role, r.correlation_id, r.causation_id);
            END IF;
        ELSIF r.what = 'cleared' THEN
            FOR a IN
                UPDATE app.alerts SET state = 'cleared', snoozed_until = NULL, changed_at = r.at
                WHERE subject_id = r.subject_id AND kind = ANY (r.kinds) AND state <> 'cleared' RETURNING *
            LOOP
                PERFORM app.tell_alert(a, r.what, r.actor_id, r.actor_role, r.correlation_id, r.causation_id);
            END LOOP;
        ELSIF r.what = 'woken' THEN
            UPDATE app.alerts SET state = 'raised', snoozed_until = NULL, changed_at = r.at
            WHERE alert_id = r.alert_id AND snoozed_until <= r.at RETURNING * INTO a;
            IF FOUND THEN
                PERFORM app.tell_alert(a, r.what, r.actor_id, r.actor_role, r.correlation_id, r.causation_id);
            END IF;
        ELSE
            UPDATE app.alerts SET state = 'acknowledged', snoozed_until = r.snoozed_until, changed_at = r.at
            WHERE alert_id = r.alert_id AND state <> 'cleared'
              AND (state = 'raised' OR snoozed_until IS DISTINCT FROM r.snoozed_until)
            RETURNING * INTO a;
            IF FOUND THEN
                PERFORM app.tell_alert(a, r.what, r.actor_id, r.actor_role, r.correlation_id, r.causation_id);
            END IF;
        END IF;
    END LOOP;
END $$;
