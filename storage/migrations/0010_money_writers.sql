-- How facts about money become rows: journal.record calls these; see domain/ledger.py and domain/payments.py.

ALTER TABLE app.payment_intents
    ADD COLUMN purpose text NOT NULL DEFAULT 'visit'
        CHECK (purpose IN ('visit', 'cancellation_fee', 'no_show_fee', 'tip')),
    ADD COLUMN parent_id uuid REFERENCES app.payment_intents,  -- the hold, the checked method, or the payment it is about
    ADD COLUMN reason text,
    ADD COLUMN asked_until timestamptz,                        -- somebody is asking the gateway now; a dead one is outwaited
    DROP CONSTRAINT payment_intents_kind_check,
    ADD CONSTRAINT payment_intents_kind_check
        CHECK (kind IN ('authorize', 'verify', 'capture', 'charge', 'void', 'refund'));

-- A hold is resolved once: taken from, or let go.
CREATE UNIQUE INDEX payment_intents_one_resolution ON app.payment_intents (parent_id)
    WHERE kind IN ('capture', 'void') AND status IN ('pending', 'succeeded');
CREATE INDEX payment_intents_correlation ON app.payment_intents (correlation_id);
REVOKE UPDATE ON app.payment_intents FROM doorstep_app;
GRANT UPDATE (status, gateway_ref, attempts, settled_at, asked_until) ON app.payment_intents TO doorstep_app;

-- A row with `settle` reports an answer: a success is final and wins over any other ending; nothing else moves an ended
-- intent. A row without it is a new intent. Running it again changes nothing.
CREATE FUNCTION app.write_payment_intents(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.payment_intents (intent_id, booking_id, kind, method, amount, currency, status, gateway,
                                     correlation_id, created_at, purpose, parent_id, reason)
    SELECT x.intent_id, x.booking_id, x.kind, x.method, x.amount, x.currency, x.status, x.gateway,
           x.correlation_id, x.created_at, x.purpose, x.parent_id, x.reason
    FROM jsonb_to_recordset(rows) AS x(intent_id uuid, booking_id uuid, kind text, method text, amount bigint,
                                       currency text, status text, gateway text, correlation_id text,
                                       created_at timestamptz, purpose text, parent_id uuid, reason text, settle boolean)
    WHERE x.settle IS NOT TRUE;
    UPDATE app.payment_intents i
    SET status = x.status, gateway_ref = coalesce(x.gateway_ref, i.gateway_ref), settled_at = x.settled_at, asked_until = NULL
    FROM jsonb_to_recordset(rows)
        AS x(intent_id uuid, status text, gateway_ref text, settled_at timestamptz, settle boolean)
    WHERE x.settle AND i.intent_id = x.intent_id
      AND (i.status = 'pending' OR (x.status = 'succeeded' AND i.status <> 'succeeded'));
END $$;

CREATE FUNCTION app.write_ledger_transactions(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.ledger_transactions (transaction_id, kind, booking_id, reverses, reason, correlation_id, actor_id, at)
    SELECT transaction_id, kind, booking_id, reverses, reason, correlation_id, actor_id, at
    FROM jsonb_populate_recordset(NULL::app.ledger_transactions, rows)
$$;

-- Accounts come into being when money first moves through them, in one order, so that two firsts cannot deadlock.
CREATE FUNCTION app.write_ledger_entries(rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.accounts (account_id, code, currency, owner_id)
    SELECT uuidv7(), x.code, x.currency, x.owner_id
    FROM (SELECT DISTINCT y.code, y.currency, y.owner_id
          FROM jsonb_to_recordset(rows) AS y(code text, currency text, owner_id uuid)) AS x
    WHERE NOT EXISTS (SELECT FROM app.accounts a WHERE a.code = x.code AND a.currency = x.currency)
    ORDER BY x.code, x.currency
    ON CONFLICT (code, currency) DO NOTHING;
    INSERT INTO app.ledger_entries (transaction_id, account_id, currency, debit, credit)
    SELECT x.transaction_id, a.account_id, x.currency, x.debit, x.credit
    FROM jsonb_to_recordset(rows)
        AS x(transaction_id uuid, code text, currency text, debit bigint, credit bigint)
    JOIN app.accounts a ON a.code = x.code AND a.currency = x.currency;
END $$;

-- An account and its entries speak of one currency.
ALTER TABLE app.accounts ADD CONSTRAINT accounts_id_currency UNIQUE (account_id, currency);
ALTER TABLE app.ledger_entries ADD CONSTRAINT ledger_entries_account_currency
    FOREIGN KEY (account_id, currency) REFERENCES app.accounts (account_id, currency);

-- What the built-in sandbox gateway remembers: it plays a company outside, so it keeps its own books, by its own rules,
-- and knows nothing of ours but the intent's id.
CREATE SCHEMA sandbox;
CREATE TABLE sandbox.operations (
    intent_id uuid PRIMARY KEY,
    kind text NOT NULL,
    method text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    parent_id uuid,
    outcome text NOT NULL CHECK (outcome IN ('succeeded', 'declined')),
    reason text,
    ref text NOT NULL,
    calls integer NOT NULL DEFAULT 1,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operations_parent ON sandbox.operations (parent_id);
GRANT USAGE ON SCHEMA sandbox TO doorstep_app;
GRANT SELECT, INSERT, UPDATE ON sandbox.operations TO doorstep_app;
