-- Payouts: batches that one person makes and another approves; the books follow as ledger transactions.

CREATE TABLE app.payout_accounts (             -- where a technician's money goes: the gateway's token, no bank details
    technician_id uuid PRIMARY KEY REFERENCES app.technicians,
    method text NOT NULL,
    updated_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.payout_accounts TO doorstep_app;

CREATE TABLE app.payouts (
    payout_id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('draft', 'approved', 'submitted', 'settled', 'cancelled')),
    cutoff timestamptz NOT NULL,               -- what was earned up to then is in it
    made_by uuid NOT NULL REFERENCES app.people,
    made_at timestamptz NOT NULL,
    approved_by uuid REFERENCES app.people,
    approved_at timestamptz,
    submitted_at timestamptz,
    ended_at timestamptz,                      -- settled or cancelled
    correlation_id text NOT NULL,
    CHECK (approved_by IS DISTINCT FROM made_by)
);
CREATE INDEX payouts_open ON app.payouts (status) WHERE status IN ('draft', 'approved', 'submitted');
CREATE INDEX payouts_correlation ON app.payouts (correlation_id);

CREATE TABLE app.payout_items (
    item_id uuid PRIMARY KEY,                  -- the gateway's idempotency key
    payout_id uuid NOT NULL REFERENCES app.payouts,
    technician_id uuid NOT NULL REFERENCES app.technicians,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    method text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'submitted', 'paid', 'returned')),
    gateway_ref text,
    reason text,
    transaction_id uuid,                       -- the ledger transaction that sent it
    settled_at timestamptz,
    UNIQUE (payout_id, technician_id, currency)
);
CREATE INDEX payout_items_technician ON app.payout_items (technician_id);
GRANT SELECT, INSERT ON app.payouts, app.payout_items TO doorstep_app;
GRANT UPDATE (status, approved_by, approved_at, submitted_at, ended_at) ON app.payouts TO doorstep_app;
GRANT UPDATE (status, gateway_ref, reason, transaction_id, settled_at) ON app.payout_items TO doorstep_app;

CREATE FUNCTION app.write_payouts(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.payouts (payout_id, status, cutoff, made_by, made_at, correlation_id)
    SELECT payout_id, status, cutoff, made_by, made_at, correlation_id
    FROM jsonb_populate_recordset(NULL::app.payouts, rows);
END $$;

-- A batch that is not where it was seen is not moved: the caller held its lock, so this cannot happen to the honest.
CREATE FUNCTION app.write_payout_moves(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE m record;
BEGIN
    FOR m IN SELECT * FROM jsonb_to_recordset(rows)
        AS x(payout_id uuid, was text, status text, by_id uuid, at timestamptz)
    LOOP
        UPDATE app.payouts SET
            status = m.status,
            approved_by = CASE WHEN m.status = 'approved' THEN m.by_id ELSE approved_by END,
            approved_at = CASE WHEN m.status = 'approved' THEN m.at ELSE approved_at END,
            submitted_at = CASE WHEN m.status = 'submitted' THEN m.at ELSE submitted_at END,
            ended_at = CASE WHEN m.status IN ('settled', 'cancelled') THEN m.at ELSE ended_at END
        WHERE payout_id = m.payout_id AND status = m.was;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'payout % changed in between', m.payout_id USING ERRCODE = 'unique_violation';
        END IF;
    END LOOP;
END $$;

-- A row with an amount is a new item; one without says how an item went on, and never moves a settled one.
CREATE FUNCTION app.write_payout_items(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.payout_items (item_id, payout_id, technician_id, amount, currency, method, status)
    SELECT item_id, payout_id, technician_id, amount, currency, method, status
    FROM jsonb_populate_recordset(NULL::app.payout_items, rows) WHERE amount IS NOT NULL;
    UPDATE app.payout_items i
    SET status = x.status, gateway_ref = coalesce(x.gateway_ref, i.gateway_ref), reason = coalesce(x.reason, i.reason),
        transaction_id = coalesce(x.transaction_id, i.transaction_id), settled_at = x.settled_at
    FROM jsonb_populate_recordset(NULL::app.payout_items, rows) AS x
    WHERE x.amount IS NULL AND i.item_id = x.item_id AND i.status IN ('pending', 'submitted');
END $$;
