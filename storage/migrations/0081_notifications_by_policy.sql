-- What people were told is a part of old stories, and goes with them: with its attempts, finished, and past ninety days.

DROP TRIGGER refuse_row_change ON app.notification_attempts;
CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON app.notification_attempts
    FOR EACH ROW EXECUTE FUNCTION app.refuse_change_of_young('at');
CREATE INDEX notifications_wanted ON app.notifications (wanted_at);

CREATE FUNCTION app.forget_notifications(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    latest timestamptz := least(before, now() - interval '90 days');
    old uuid[];
    gone bigint;
BEGIN
    PERFORM set_config('doorstep.retention', 'on', true);
    SELECT array_agg(notification_id) INTO old FROM (
        SELECT n.notification_id FROM app.notifications n
        WHERE n.wanted_at < latest AND n.finished_at < latest
          AND NOT EXISTS (SELECT FROM app.notification_attempts a
                          WHERE a.notification_id = n.notification_id AND a.at >= latest)
        ORDER BY n.wanted_at LIMIT least(batch, 10000)) x;
    DELETE FROM app.notification_attempts WHERE notification_id = ANY (old);
    DELETE FROM app.notifications WHERE notification_id = ANY (old);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('doorstep.retention', '', true);
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION app.forget_notifications(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget_notifications(timestamptz, integer) TO doorstep_app;
