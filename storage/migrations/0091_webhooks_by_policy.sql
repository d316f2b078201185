-- Old deliveries go a bounded batch at a time, as everything does that goes by policy.

DROP FUNCTION app.forget_webhook_deliveries(timestamptz);

-- Deliveries that came to an end, with their attempts; what still waits stays, and so does the last day.
CREATE FUNCTION app.forget_webhook_deliveries(before timestamptz, batch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone bigint;
BEGIN
    DELETE FROM app.webhook_deliveries WHERE delivery_id IN (
        SELECT delivery_id FROM app.webhook_deliveries
        WHERE created_at < least(before, now() - interval '1 day') AND state <> 'pending'
        ORDER BY created_at LIMIT least(batch, 10000));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION app.forget_webhook_deliveries(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.forget_webhook_deliveries(timestamptz, integer) TO doorstep_app;
