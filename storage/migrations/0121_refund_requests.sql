-- Support asks for a customer's money back, finance decides: the asking is kept, whatever is decided.

CREATE TABLE app.refund_requests (
    request_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES app.bookings,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    reason text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    asked_by uuid NOT NULL REFERENCES app.people,
    asked_at timestamptz NOT NULL,
    decided_by uuid REFERENCES app.people,
    decided_at timestamptz,
    decision_reason text,
    refund_id uuid,
    correlation_id text NOT NULL,
    CHECK (decided_by IS DISTINCT FROM asked_by)
);
CREATE INDEX refund_requests_pending ON app.refund_requests (request_id) WHERE status = 'pending';
CREATE INDEX refund_requests_booking ON app.refund_requests (booking_id);
GRANT SELECT, INSERT ON app.refund_requests TO doorstep_app;
GRANT UPDATE (status, decided_by, decided_at, decision_reason, refund_id) ON app.refund_requests TO doorstep_app;

CREATE FUNCTION app.write_refund_requests(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.refund_requests (request_id, booking_id, amount, currency, reason, status, asked_by, asked_at,
                                     correlation_id)
    SELECT request_id, booking_id, amount, currency, reason, status, asked_by, asked_at, correlation_id
    FROM jsonb_populate_recordset(NULL::app.refund_requests, rows) WHERE status = 'pending';
    UPDATE app.refund_requests r
    SET status = x.status, decided_by = x.decided_by, decided_at = x.decided_at,
        decision_reason = x.decision_reason, refund_id = x.refund_id
    FROM jsonb_populate_recordset(NULL::app.refund_requests, rows) AS x
    WHERE x.status <> 'pending' AND r.request_id = x.request_id AND r.status = 'pending';
END $$;
