-- Up to where the outbox was forgotten: a cursor before it has expired, however old a row is still kept for a dead letter.

CREATE TABLE app.outbox_floor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch text NOT NULL,                       -- the life of the database that the place belongs to
    xid xid8 NOT NULL,                         -- the newest place of a row that went
    outbox_id bigint NOT NULL,
    at timestamptz NOT NULL                    -- no row that went was younger, in any life
);
GRANT SELECT ON app.outbox_floor TO doorstep_app;

CREATE FUNCTION app.raise_outbox_floor() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO app.outbox_floor AS f (epoch, xid, outbox_id, at)
    SELECT e.epoch, g.xid, g.outbox_id, (SELECT max(at) FROM gone)
    FROM app.epoch e, (SELECT xid, outbox_id FROM gone ORDER BY xid DESC, outbox_id DESC LIMIT 1) AS g
    ON CONFLICT (only_row) DO UPDATE SET
        epoch = EXCLUDED.epoch,
        xid = CASE WHEN f.epoch = EXCLUDED.epoch AND (f.xid, f.outbox_id) > (EXCLUDED.xid, EXCLUDED.outbox_id)
                   THEN f.xid ELSE EXCLUDED.xid END,
        outbox_id = CASE WHEN f.epoch = EXCLUDED.epoch AND (f.xid, f.outbox_id) > (EXCLUDED.xid, EXCLUDED.outbox_id)
                         THEN f.outbox_id ELSE EXCLUDED.outbox_id END,
        at = greatest(f.at, EXCLUDED.at);
    RETURN NULL;
END $$;
CREATE TRIGGER raise_floor AFTER DELETE ON app.outbox
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION app.raise_outbox_floor();

-- What went before this was written down: everything before the oldest row that is left.
INSERT INTO app.outbox_floor (epoch, xid, outbox_id, at)
SELECT e.epoch, o.xid, o.outbox_id - 1, o.at
FROM app.epoch e, (SELECT xid, outbox_id, at FROM app.outbox ORDER BY xid, outbox_id LIMIT 1) AS o
WHERE o.outbox_id > 1;
