-- A notification that nobody could send is never finished, so that its job may run again; it goes once it is of no use.

CREATE OR REPLACE FUNCTION app.forget_notifications(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    latest timestamptz := least(before, now() - interval '90 days');
    old uuid[];
    gone bigint;
BEGIN
    PERFORM set_config('doorstep.retention', 'on', true);
    SELECT array_agg(notification_id) INTO old FROM (
        SELECT n.notification_id FROM app.notifications n
        WHERE n.wanted_at < latest AND coalesce(n.finished_at, n.useful_until) < latest
          AND NOT EXISTS (SELECT FROM app.notification_attempts a
                          WHERE a.notification_id = n.notification_id AND a.at >= latest)
        ORDER BY n.wanted_at LIMIT least(batch, 10000)) x;
    DELETE FROM app.notification_attempts WHERE notification_id = ANY (old);
    DELETE FROM app.notifications WHERE notification_id = ANY (old);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('doorstep.retention', '', true);
    RETURN gone;
END $$;
