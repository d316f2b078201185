-- The writer of raw fixes copies each batch into a temporary table first. Where PUBLIC may not make those (our own
-- embedded cluster takes that right away), its role may.
DO $$ BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO doorstep_telemetry', current_database());
END $$;
