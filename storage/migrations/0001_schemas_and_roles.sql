-- Four kinds of record stay apart: app (truth), audit (decisions), metrics (projections), telemetry (positions).
-- The serving roles own nothing; what is append-only is so by privilege here and by trigger below.

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['doorstep_app', 'doorstep_telemetry', 'doorstep_metrics', 'doorstep_audit'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this cluster is being migrated at the same moment
        END;
    END LOOP;
END $$;

CREATE SCHEMA IF NOT EXISTS app;
CREATE SCHEMA audit;
CREATE SCHEMA metrics;
CREATE SCHEMA telemetry;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS citext;

GRANT USAGE ON SCHEMA app TO doorstep_app;
GRANT SELECT ON app.schema_migrations TO doorstep_app; -- readiness and `doorstep doctor` ask what is pending
GRANT USAGE ON SCHEMA audit TO doorstep_app, doorstep_audit;
GRANT USAGE ON SCHEMA metrics TO doorstep_app, doorstep_metrics;
GRANT USAGE ON SCHEMA telemetry TO doorstep_telemetry;

-- Refuses every change of a row that was written: history is added to, never edited.
CREATE FUNCTION app.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% refused: it is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- Makes a table append-only for everybody, its owner included, and grants the serving role what is left: reading, and
-- adding rows. It may not fill the columns of `ours`; their defaults do (a later column of such a table needs its grant).
CREATE FUNCTION app.make_append_only(target regclass, VARIADIC ours text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE theirs text := '';
BEGIN
    EXECUTE format('CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON %s
                    FOR EACH ROW EXECUTE FUNCTION app.refuse_change()', target);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_change()', target);
    IF cardinality(ours) > 0 THEN
        SELECT format('(%s)', string_agg(quote_ident(attname), ', ')) INTO theirs FROM pg_attribute
        WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attname <> ALL (ours);
    END IF;
    EXECUTE format('GRANT SELECT, INSERT %s ON %s TO doorstep_app', theirs, target);
END $$;
REVOKE EXECUTE ON FUNCTION app.make_append_only(regclass, text[]) FROM PUBLIC;

-- One row: which life of the database this is. A restore into a new cluster starts transaction ids anew, so the
-- server compares `life` with what the cluster says now, and draws a new epoch when they differ.
CREATE TABLE app.epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch text NOT NULL,
    life text NOT NULL                         -- cluster, timeline and database: a restore changes one of them
);
GRANT SELECT ON app.epoch TO doorstep_app;
