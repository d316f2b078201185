-- A visit that is given back and offered to the next card at once sets the same deadline twice: the last word counts.
CREATE OR REPLACE FUNCTION app.write_deadlines(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM app.deadlines d USING jsonb_to_recordset(rows) AS x(booking_id uuid, kind text, due_at timestamptz)
    WHERE x.due_at IS NULL AND d.booking_id = x.booking_id AND d.kind = x.kind AND d.fired_at IS NULL;
    INSERT INTO app.deadlines (booking_id, kind, due_at)
    SELECT DISTINCT ON (x.booking_id, x.kind) x.booking_id, x.kind, x.due_at
    FROM ROWS FROM (jsonb_to_recordset(rows) AS (booking_id uuid, kind text, due_at timestamptz))
        WITH ORDINALITY AS x(booking_id, kind, due_at, place)
    WHERE x.due_at IS NOT NULL
    ORDER BY x.booking_id, x.kind, x.place DESC
    ON CONFLICT (booking_id, kind) DO UPDATE SET due_at = EXCLUDED.due_at, fired_at = NULL;
END $$;
