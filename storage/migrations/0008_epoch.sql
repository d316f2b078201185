-- Names this life of the database. Cursors carry the name; a restore (into another cluster, to an earlier moment of this
-- one, or beside it as another database) gets a new one, so that old cursors are refused instead of skipping events.
CREATE FUNCTION app.renew_epoch() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_lived text := (
        SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid)
        FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database());
    name text;
BEGIN
    SELECT epoch INTO name FROM app.epoch WHERE life = now_lived;
    IF FOUND THEN
        RETURN name;
    END IF;
    INSERT INTO app.epoch (epoch, life) VALUES (left(md5(gen_random_uuid()::text), 12), now_lived)
    ON CONFLICT (only_row) DO UPDATE
        SET epoch = EXCLUDED.epoch, life = EXCLUDED.life
        WHERE app.epoch.life <> EXCLUDED.life;
    -- What happened in the former life is history here, not news: its order stays by outbox_id.
    UPDATE app.outbox SET xid = '3'::xid8 WHERE xid >= pg_snapshot_xmin(pg_current_snapshot());
    SELECT epoch INTO name FROM app.epoch;
    RETURN name;
END $$;
REVOKE EXECUTE ON FUNCTION app.renew_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.renew_epoch() TO doorstep_app;
