-- A command on a booking in two statements: app.open_command reads all that its rule and its answer need,
-- app.record_command locks, looks whether the booking is still the one that was read, and writes. No lock waits for a
-- round trip, or for a process that died.

-- What the licence gate looks at, for one technician: who they are, the rules down to a place, every credential.
CREATE FUNCTION app.gate_grounds(technician uuid, place text, wanted text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'technician', (SELECT to_jsonb(t) || jsonb_build_object('display_name', p.display_name)
                       FROM app.technicians t JOIN app.people p ON p.person_id = t.technician_id
                       WHERE t.technician_id = $1 AND p.erased_at IS NULL),
        'chain', (WITH RECURSIVE up AS (
                      SELECT j.*, 0 AS height FROM app.jurisdictions j WHERE j.code = $2
                      UNION ALL
                      SELECT j.*, up.height + 1 FROM app.jurisdictions j JOIN up ON j.code = up.parent
                      WHERE up.height < 8)
                  SELECT jsonb_agg(to_jsonb(up) || jsonb_build_object('requirements', s.requirements, 'version', s.version)
                                   ORDER BY height DESC)
                  FROM up LEFT JOIN LATERAL (
                      SELECT r.requirements, r.version FROM app.requirement_sets r
                      WHERE r.jurisdiction = up.code AND r.service = $3 ORDER BY r.version DESC LIMIT 1) s ON true),
        'credentials', (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.credential_id)
                        FROM app.credentials c WHERE c.technician_id = $1))
$$;

-- Reads a booking with its surroundings; with `locking`, its technician and `also` are locked first, by id, then the
-- booking. `booking` is NULL where there is none; `moved` says that it got another technician while we waited.
CREATE FUNCTION app.open_command(
    wanted uuid, actor uuid, claim_principal text, claim_route text, claim_key text, locking boolean, also uuid,
    with_grounds boolean, with_held boolean,
    OUT booking app.bookings, OUT moved boolean, OUT customer_name text, OUT technician_name text, OUT photo_url text,
    OUT area_name text, OUT customer_key bytea, OUT actor_key bytea, OUT grounds jsonb, OUT held jsonb,
    OUT fingerprint bytea, OUT locked_until timestamptz, OUT status integer, OUT body bytea, OUT claimed_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE asked uuid;
BEGIN
    IF locking THEN
        SELECT b.technician_id INTO asked FROM app.bookings b WHERE b.booking_id = wanted;
        PERFORM FROM app.technicians t WHERE t.technician_id IN (asked, also)
        ORDER BY t.technician_id FOR NO KEY UPDATE;
        SELECT * INTO booking FROM app.bookings b WHERE b.booking_id = wanted FOR NO KEY UPDATE;
        moved := booking.technician_id IS DISTINCT FROM asked;
    ELSE
        SELECT * INTO booking FROM app.bookings b WHERE b.booking_id = wanted;
        moved := false;
    END IF;
    IF claim_key IS NOT NULL THEN  -- after the booking: if a twin of this request changed it, we see the twin's answer
        SELECT k.fingerprint, k.locked_until, k.status, k.body, k.created_at
        INTO fingerprint, locked_until, status, body, claimed_at
        FROM app.idempotency_keys k
        WHERE k.principal = claim_principal AND k.route = claim_route AND k.key = claim_key;
    END IF;
    SELECT c.display_name, ck.key, ak.key, p.display_name, t.photo_url, a.name
    INTO customer_name, customer_key, actor_key, technician_name, photo_url, area_name
    FROM (SELECT) AS one
    LEFT JOIN app.people c ON c.person_id = booking.customer_id
    LEFT JOIN app.person_keys ck ON ck.person_id = booking.customer_id
    LEFT JOIN app.person_keys ak ON ak.person_id = actor
    LEFT JOIN app.people p ON p.person_id = booking.technician_id
    LEFT JOIN app.technicians t ON t.technician_id = booking.technician_id
    LEFT JOIN app.service_areas a ON a.area_id = booking.area_id;
    IF with_grounds AND booking.technician_id IS NOT NULL THEN
        grounds := app.gate_grounds(booking.technician_id, booking.jurisdiction, booking.service);
    END IF;
    IF with_held THEN
        SELECT to_jsonb(i) INTO held FROM app.payment_intents i
        WHERE i.booking_id = wanted AND i.kind IN ('authorize', 'verify') AND i.status = 'succeeded'
        ORDER BY i.created_at DESC, i.intent_id DESC LIMIT 1;
        IF EXISTS (SELECT FROM app.payment_intents r
                   WHERE r.parent_id = (held ->> 'intent_id')::uuid AND r.kind IN ('capture', 'charge', 'void')
                     AND r.purpose <> 'tip' AND r.status <> 'declined') THEN
            held := NULL;
        END IF;
    END IF;
END $$;

-- Writes what was decided about a booking that was read without a lock. Answers false, and writes nothing, where the
-- booking is not at `seen_version` any more, or its technician (as the gate saw them) not at `seen_technician_version`.
CREATE FUNCTION app.record_command(
    wanted uuid, technician uuid, seen_version integer, seen_technician_version integer, document jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE found_version integer; found_technician uuid;
BEGIN
    IF technician IS NOT NULL THEN
        SELECT t.version INTO found_version FROM app.technicians t
        WHERE t.technician_id = technician FOR NO KEY UPDATE;
        IF found_version <> seen_technician_version THEN RETURN false; END IF;
    END IF;
    SELECT b.version, b.technician_id INTO found_version, found_technician FROM app.bookings b
    WHERE b.booking_id = wanted FOR NO KEY UPDATE;
    IF found_version IS DISTINCT FROM seen_version OR found_technician IS DISTINCT FROM technician THEN
        RETURN false;
    END IF;
    PERFORM app.record(document);
    RETURN true;
END $$;

-- The answer that a key gets: for a claim taken before, or, where nobody holds the key, together with the claim itself.
-- A key that was answered meanwhile raises unique_violation, and nothing of the whole is written.
CREATE FUNCTION app.write_replies(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE written integer;
BEGIN
    INSERT INTO app.idempotency_keys AS k
        (principal, route, key, fingerprint, locked_until, status, body, booking_id, created_at)
    SELECT x.principal, x.route, x.key, x.fingerprint, x.at, x.status, x.body, x.booking_id, x.at
    FROM jsonb_to_recordset(rows) AS x(principal text, route text, key text, fingerprint bytea, status integer,
                                       body bytea, booking_id uuid, at timestamptz)
    ON CONFLICT (principal, route, key) DO UPDATE SET
        fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, body = EXCLUDED.body,
        booking_id = coalesce(EXCLUDED.booking_id, k.booking_id),
        created_at = CASE WHEN k.status IS NULL THEN k.created_at ELSE EXCLUDED.created_at END
    WHERE k.status IS NULL OR k.created_at < EXCLUDED.created_at - interval '24 hours';
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < jsonb_array_length(rows) THEN
        RAISE EXCEPTION 'an Idempotency-Key was answered in between' USING ERRCODE = 'unique_violation';
    END IF;
END $$;

-- Makes app.record anew, with a plan of its own for every writer that there is now. A writer that comes later works all
-- the same, planned at each call, until this is called again.
CREATE FUNCTION app.renew_record() RETURNS void LANGUAGE plpgsql AS $renew$
DECLARE arms text;
BEGIN
    SELECT string_agg(format('WHEN %L THEN PERFORM app.%I(part -> 1);', substr(proname, 7), proname), ' ' ORDER BY proname)
    INTO arms FROM pg_proc
    WHERE pronamespace = 'app'::regnamespace AND proname LIKE 'write\_%' AND pronargs = 1;
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION app.record(document jsonb) RETURNS void LANGUAGE plpgsql AS $body$
        DECLARE part jsonb;
        BEGIN
            FOR part IN SELECT value FROM jsonb_array_elements(document) LOOP
                CASE part ->> 0
                    %s
                    ELSE EXECUTE format('SELECT app.%%I($1)', 'write_' || (part ->> 0)) USING part -> 1;
                END CASE;
            END LOOP;
        END $body$
    $function$, arms);
END $renew$;
REVOKE EXECUTE ON FUNCTION app.renew_record() FROM PUBLIC;
SELECT app.renew_record();
