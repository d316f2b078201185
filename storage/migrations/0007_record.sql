-- The executor behind storage/journal.py: walks [[table, rows], ...] and calls app.write_<table>(rows) for each.
-- Every table brings its own writer function; this one knows none of them by name.

CREATE FUNCTION app.record(document jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE part jsonb;
BEGIN
    FOR part IN SELECT value FROM jsonb_array_elements(document) LOOP
        EXECUTE format('SELECT app.%I($1)', 'write_' || (part ->> 0)) USING part -> 1;
    END LOOP;
END $$;

-- A booking is inserted once and then replaced only by its next version: a lost update raises unique_violation.
CREATE FUNCTION app.write_bookings(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE b app.bookings;
BEGIN
    FOR b IN SELECT * FROM jsonb_populate_recordset(NULL::app.bookings, rows) LOOP
        IF EXISTS (SELECT 1 FROM app.bookings WHERE booking_id = b.booking_id) THEN
            UPDATE app.bookings SET
                state = b.state, version = b.version, technician_id = b.technician_id, card_id = b.card_id,
                expected_end_at = b.expected_end_at, deadline_at = b.deadline_at, payment_status = b.payment_status,
                starts_at = b.starts_at, ends_at = b.ends_at, gps_session_id = b.gps_session_id, offered = b.offered,
                near_at = b.near_at, arrived_at = b.arrived_at, fee_amount = b.fee_amount, rated = b.rated,
                updated_at = b.updated_at
            WHERE booking_id = b.booking_id AND version < b.version;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'booking % changed in between', b.booking_id USING ERRCODE = 'unique_violation';
            END IF;
        ELSE
            INSERT INTO app.bookings (
                booking_id, number, state, version, service, experience, customer_id, technician_id, match_id,
                card_id, area_id, jurisdiction, starts_at, ends_at, expected_end_at, deadline_at, base_amount,
                travel_amount, tax_amount, total_amount, currency, tax_bp, payment_status, gps_session_id,
                fallback, address, offered, near_at, arrived_at, fee_amount, rated, created_at, updated_at)
            VALUES (
                b.booking_id, b.number, b.state, b.version, b.service, b.experience, b.customer_id,
                b.technician_id, b.match_id, b.card_id, b.area_id, b.jurisdiction, b.starts_at, b.ends_at,
                b.expected_end_at, b.deadline_at, b.base_amount, b.travel_amount, b.tax_amount, b.total_amount,
                b.currency, b.tax_bp, b.payment_status, b.gps_session_id, b.fallback, b.address, b.offered,
                b.near_at, b.arrived_at, b.fee_amount, b.rated, b.created_at, b.updated_at);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION app.write_booking_events(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.booking_events
        (event_id, booking_id, seq, type, at, actor_id, actor_role, correlation_id, causation_id, data)
    SELECT event_id, booking_id, seq, type, at, actor_id, actor_role, correlation_id, causation_id, data
    FROM jsonb_populate_recordset(NULL::app.booking_events, rows)
$$;

CREATE FUNCTION app.write_booking_notes(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.booking_notes (event_id, author_id, text)
    SELECT event_id, author_id, text FROM jsonb_populate_recordset(NULL::app.booking_notes, rows)
$$;

-- `released: true` ends a claim on a technician's time; otherwise the claim is made, or made firm.
CREATE FUNCTION app.write_reservations(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.reservations r SET active = false, held_until = NULL
    FROM jsonb_to_recordset(rows) AS x(booking_id uuid, technician_id uuid, released boolean)
    WHERE x.released AND r.booking_id = x.booking_id AND (x.technician_id IS NULL OR r.technician_id = x.technician_id);
    INSERT INTO app.reservations (booking_id, technician_id, during, active, held_until)
    SELECT x.booking_id, x.technician_id, x.during, true, x.held_until
    FROM jsonb_to_recordset(rows)
        AS x(booking_id uuid, technician_id uuid, during tstzrange, held_until timestamptz, released boolean)
    WHERE x.released IS NOT TRUE
    ON CONFLICT (booking_id, technician_id) DO UPDATE
        SET during = EXCLUDED.during, active = true, held_until = EXCLUDED.held_until;
END $$;

-- `due_at` null clears the deadline; a row that fired stays to say so.
CREATE FUNCTION app.write_deadlines(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM app.deadlines d USING jsonb_to_recordset(rows) AS x(booking_id uuid, kind text, due_at timestamptz)
    WHERE x.due_at IS NULL AND d.booking_id = x.booking_id AND d.kind = x.kind AND d.fired_at IS NULL;
    INSERT INTO app.deadlines (booking_id, kind, due_at)
    SELECT x.booking_id, x.kind, x.due_at
    FROM jsonb_to_recordset(rows) AS x(booking_id uuid, kind text, due_at timestamptz)
    WHERE x.due_at IS NOT NULL
    ON CONFLICT (booking_id, kind) DO UPDATE SET due_at = EXCLUDED.due_at, fired_at = NULL;
END $$;

CREATE FUNCTION app.write_gps_sessions(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.gps_sessions s SET closed_at = x.closed_at, close_reason = x.close_reason
    FROM jsonb_to_recordset(rows) AS x(booking_id uuid, closed_at timestamptz, close_reason text)
    WHERE x.closed_at IS NOT NULL AND s.booking_id = x.booking_id AND s.closed_at IS NULL;
    INSERT INTO app.gps_sessions (session_id, booking_id, technician_id, opened_at)
    SELECT x.session_id, x.booking_id, x.technician_id, x.opened_at
    FROM jsonb_to_recordset(rows)
        AS x(session_id uuid, booking_id uuid, technician_id uuid, opened_at timestamptz, closed_at timestamptz)
    WHERE x.closed_at IS NULL;
END $$;

CREATE FUNCTION app.write_ratings(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.ratings (booking_id, technician_id, stars, comment, at)
    SELECT booking_id, technician_id, stars, comment, at FROM jsonb_populate_recordset(NULL::app.ratings, rows)
$$;

CREATE FUNCTION app.write_shares(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.shares s SET ended_at = x.ended_at, end_reason = x.end_reason
    FROM jsonb_to_recordset(rows)
        AS x(booking_id uuid, recipient_label text, ended_at timestamptz, end_reason text)
    WHERE x.ended_at IS NOT NULL AND s.booking_id = x.booking_id AND s.ended_at IS NULL
      AND (x.recipient_label IS NULL OR s.recipient_label = x.recipient_label);
    INSERT INTO app.shares (share_id, booking_id, recipient_label, token_hash, created_at, expires_at)
    SELECT x.share_id, x.booking_id, x.recipient_label, x.token_hash, x.created_at, x.expires_at
    FROM jsonb_populate_recordset(NULL::app.shares, rows) AS x
    WHERE x.ended_at IS NULL;
END $$;

CREATE FUNCTION app.write_outbox(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.outbox (event_id, topic, booking_id, area_id, audience, removed_id, correlation_id, at)
    SELECT event_id, topic, booking_id, area_id, audience, removed_id, correlation_id, at
    FROM jsonb_populate_recordset(NULL::app.outbox, rows)
$$;

CREATE FUNCTION app.write_idempotency(rows jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE app.idempotency_keys k SET status = x.status, body = x.body, booking_id = coalesce(x.booking_id, k.booking_id)
    FROM jsonb_populate_recordset(NULL::app.idempotency_keys, rows) AS x
    WHERE k.principal = x.principal AND k.route = x.route AND k.key = x.key
$$;
