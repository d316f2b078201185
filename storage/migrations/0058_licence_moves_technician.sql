-- A licence that is decided about makes its technician another one to the licence gate: a command that was thought about
-- before, and is written after, sees another version (app.record_command) and is thought about again.
CREATE OR REPLACE FUNCTION app.write_credentials(rows jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE app.technicians t SET version = t.version + 1
    WHERE t.technician_id IN (
        SELECT c.technician_id
        FROM jsonb_to_recordset(rows) AS x(credential_id uuid, status text) JOIN app.credentials c USING (credential_id)
        WHERE c.status <> x.status);
    INSERT INTO app.credentials AS c (credential_id, technician_id, credential_type, jurisdiction, number, issuer,
                                      issued_on, expires_on, status, verified_on, verified_how, next_check_on,
                                      submitted_at, upload_id)
    SELECT credential_id, technician_id, credential_type, jurisdiction, number, issuer,
           issued_on, expires_on, status, verified_on, verified_how, next_check_on, submitted_at, upload_id
    FROM jsonb_populate_recordset(NULL::app.credentials, rows)
    ON CONFLICT (credential_id) DO UPDATE SET
        status = EXCLUDED.status, verified_on = EXCLUDED.verified_on, verified_how = EXCLUDED.verified_how,
        next_check_on = EXCLUDED.next_check_on
$$;
