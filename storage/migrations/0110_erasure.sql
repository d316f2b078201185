-- Erasure: a person's key and personal fields go, in one statement of the journal; what is true stays under a pseudonym.

GRANT DELETE ON app.mail_tokens TO doorstep_app;

-- Raw fixes of a technician who was erased. Only of one who was: the serving role cannot reach anybody else's this way.
CREATE FUNCTION app.forget_fixes(person uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    DELETE FROM telemetry.fixes f USING app.gps_sessions s, app.people p
    WHERE p.person_id = person AND p.erased_at IS NOT NULL AND s.technician_id = person
      AND f.session_id = s.session_id AND f.session_day = (s.opened_at AT TIME ZONE 'UTC')::date;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION app.forget_fixes(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget_fixes(uuid) TO doorstep_app;

-- Licences keep what the gate relied on (kind, place, board, dates, how it stood): the visits that were held on them are
-- history. A technician keeps services, counters and the day of joining; the home becomes a place in no area.
CREATE FUNCTION app.write_erasures(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE x record;
BEGIN
    FOR x IN SELECT * FROM jsonb_to_recordset(rows) AS r(person_id uuid, display_name text, erased_at timestamptz) LOOP
        UPDATE app.people SET email = NULL, password_hash = NULL, display_name = x.display_name, phone = NULL,
                              email_verified_at = NULL, erased_at = x.erased_at
        WHERE person_id = x.person_id;
        DELETE FROM app.person_keys WHERE person_id = x.person_id;
        DELETE FROM app.mail_tokens WHERE person_id = x.person_id;
        UPDATE app.token_families SET revoked_at = x.erased_at, revoked_reason = 'erased'
        WHERE person_id = x.person_id AND revoked_at IS NULL;
        UPDATE app.technicians SET bio = '', status = 'suspended', experiences = '{}', home_lat = 0, home_lon = 0,
                                   radius_m = 500, time_zone = 'UTC', photo_url = NULL, availability = '[]',
                                   version = version + 1
        WHERE technician_id = x.person_id;
        UPDATE app.credentials SET number = '', verified_how = NULL, upload_id = NULL WHERE technician_id = x.person_id;
        UPDATE app.shares s SET recipient_label = s.share_id::text, ended_at = coalesce(s.ended_at, x.erased_at),
                                end_reason = coalesce(s.end_reason, 'ended')
        FROM app.bookings b WHERE b.booking_id = s.booking_id AND b.customer_id = x.person_id;
        DELETE FROM app.idempotency_keys WHERE principal = x.person_id::text;
        PERFORM app.forget_fixes(x.person_id);
    END LOOP;
END $$;

-- A request that was under way when its customer was erased must not come true afterwards. It fails as a time that was
-- taken does, because that is where a hold is let go and the money with it.
CREATE FUNCTION app.customer_is_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM app.people WHERE person_id = NEW.customer_id AND erased_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the customer of booking % was erased', NEW.booking_id USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER customer_is_there BEFORE INSERT ON app.bookings FOR EACH ROW EXECUTE FUNCTION app.customer_is_there();
CREATE INDEX people_founders ON app.people (person_id) WHERE role = 'founder' AND erased_at IS NULL;
CREATE INDEX idempotency_keys_booking ON app.idempotency_keys (booking_id) WHERE booking_id IS NOT NULL;
