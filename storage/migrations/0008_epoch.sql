-- Names this life of the database. Cursors carry the name; a restore into another cluster, where transaction ids start
-- anew, gets a new one, so that old cursors are refused instead of skipping what happened.
CREATE FUNCTION app.renew_epoch() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    cluster bigint := (SELECT system_identifier FROM pg_control_system());
    name text;
BEGIN
    SELECT epoch INTO name FROM app.epoch WHERE system_identifier = cluster;
    IF FOUND THEN
        RETURN name;
    END IF;
    INSERT INTO app.epoch (epoch, system_identifier) VALUES (left(md5(gen_random_uuid()::text), 12), cluster)
    ON CONFLICT (only_row) DO UPDATE
        SET epoch = EXCLUDED.epoch, system_identifier = EXCLUDED.system_identifier
        WHERE app.epoch.system_identifier <> EXCLUDED.system_identifier;
    -- What happened in the former life is history here, not news: its order stays by outbox_id.
    UPDATE app.outbox SET xid = '3'::xid8 WHERE xid >= pg_snapshot_xmin(pg_current_snapshot());
    SELECT epoch INTO name FROM app.epoch;
    RETURN name;
END $$;
REVOKE EXECUTE ON FUNCTION app.renew_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.renew_epoch() TO doorstep_app;
