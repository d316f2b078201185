-- A request for a visit: each of its two transactions reads all that it needs in one statement, and writes in another.

-- Reads a card with everything that is checked before a technician's time is held. The technician is locked, and their
-- holds whose payment never came to an answer are let go; the key is read after the lock, so a twin has had its turn.
CREATE FUNCTION app.open_request(
    wanted_match uuid, wanted_card uuid, actor uuid, claim_principal text, claim_route text, claim_key text, at timestamptz,
    OUT match_customer uuid, OUT match_area uuid, OUT card jsonb, OUT grounds jsonb, OUT customer_key bytea,
    OUT actor_key bytea, OUT intents jsonb, OUT fingerprint bytea, OUT locked_until timestamptz, OUT status integer,
    OUT body bytea, OUT claimed_at timestamptz, OUT begun_id uuid
) LANGUAGE plpgsql AS $$
DECLARE asked uuid;
BEGIN
    SELECT m.customer_id, m.area_id, ck.key, ak.key INTO match_customer, match_area, customer_key, actor_key
    FROM app.matches m
    LEFT JOIN app.person_keys ck ON ck.person_id = m.customer_id
    LEFT JOIN app.person_keys ak ON ak.person_id = actor
    WHERE m.match_id = wanted_match;
    SELECT to_jsonb(c), c.technician_id INTO card, asked
    FROM (SELECT m.match_id, c.card_id, c.position, m.customer_id, m.service, m.experience, c.technician_id, c.quote,
                 c.starts_at, m.asked_for, m.expires_at, m.area_id, m.jurisdiction, s.duration_s
          FROM app.matches m JOIN app.match_candidates c USING (match_id) JOIN app.services s USING (service)
          WHERE m.match_id = wanted_match AND c.card_id = wanted_card) AS c;
    IF asked IS NOT NULL THEN
        PERFORM FROM app.technicians t WHERE t.technician_id = asked FOR NO KEY UPDATE;
        UPDATE app.reservations r SET active = false WHERE r.technician_id = asked AND r.active AND r.held_until < at;
        grounds := app.gate_grounds(asked, card ->> 'jurisdiction', card ->> 'service');
    END IF;
    IF claim_key IS NOT NULL THEN
        SELECT k.fingerprint, k.locked_until, k.status, k.body, k.created_at, k.booking_id
        INTO fingerprint, locked_until, status, body, claimed_at, begun_id
        FROM app.idempotency_keys k
        WHERE k.principal = claim_principal AND k.route = claim_route AND k.key = claim_key;
        IF begun_id IS NOT NULL THEN
            SELECT jsonb_agg(to_jsonb(i) ORDER BY i.created_at, i.intent_id) INTO intents
            FROM app.payment_intents i WHERE i.booking_id = begun_id;
        END IF;
    END IF;
END $$;

-- Locks the technician, then the intent that pays, and reads what the booking to be and its answer need.
CREATE FUNCTION app.open_confirmation(
    technician uuid, intent uuid, actor uuid, customer uuid, area uuid,
    OUT intents jsonb, OUT customer_name text, OUT technician_name text, OUT photo_url text,
    OUT area_name text, OUT customer_key bytea, OUT actor_key bytea
) LANGUAGE plpgsql AS $$
DECLARE paid_for uuid;
BEGIN
    PERFORM FROM app.technicians t WHERE t.technician_id = technician FOR NO KEY UPDATE;
    SELECT i.booking_id INTO paid_for FROM app.payment_intents i WHERE i.intent_id = intent FOR UPDATE;
    SELECT jsonb_agg(to_jsonb(i) ORDER BY i.created_at, i.intent_id) INTO intents
    FROM app.payment_intents i WHERE i.booking_id = paid_for;
    SELECT c.display_name, ck.key, ak.key, p.display_name, t.photo_url, a.name
    INTO customer_name, customer_key, actor_key, technician_name, photo_url, area_name
    FROM (SELECT) AS one
    LEFT JOIN app.people c ON c.person_id = customer
    LEFT JOIN app.person_keys ck ON ck.person_id = customer
    LEFT JOIN app.person_keys ak ON ak.person_id = actor
    LEFT JOIN app.people p ON p.person_id = technician
    LEFT JOIN app.technicians t ON t.technician_id = technician
    LEFT JOIN app.service_areas a ON a.area_id = area;
END $$;

-- A key is claimed for the booking that is being made. Where somebody else holds it, unique_violation is raised.
CREATE FUNCTION app.write_claims(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE written integer;
BEGIN
    INSERT INTO app.idempotency_keys AS k (principal, route, key, fingerprint, locked_until, booking_id, created_at)
    SELECT x.principal, x.route, x.key, x.fingerprint, x.locked_until, x.booking_id, x.at
    FROM jsonb_to_recordset(rows) AS x(principal text, route text, key text, fingerprint bytea,
                                       locked_until timestamptz, booking_id uuid, at timestamptz)
    ON CONFLICT (principal, route, key) DO UPDATE SET
        fingerprint = EXCLUDED.fingerprint, locked_until = EXCLUDED.locked_until, booking_id = EXCLUDED.booking_id,
        status = NULL, body = NULL,
        created_at = CASE WHEN k.status IS NULL THEN k.created_at ELSE EXCLUDED.created_at END
    WHERE k.created_at < EXCLUDED.created_at - interval '24 hours'
       OR (k.status IS NULL AND k.locked_until < EXCLUDED.created_at AND k.fingerprint = EXCLUDED.fingerprint);
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < jsonb_array_length(rows) THEN
        RAISE EXCEPTION 'an Idempotency-Key was claimed in between' USING ERRCODE = 'unique_violation';
    END IF;
END $$;
SELECT app.renew_record();
