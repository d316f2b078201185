-- Double entry, integer minor units. A transaction balances for each currency at commit, or does not commit.

CREATE TABLE app.accounts (
    account_id uuid PRIMARY KEY,
    code text NOT NULL,                        -- 'customer_funds', 'technician_payable:<id>', 'platform_revenue', 'tax_payable', ...
    currency text NOT NULL,
    owner_id uuid REFERENCES app.people,       -- a technician's own accounts
    UNIQUE (code, currency)
);
GRANT SELECT, INSERT ON app.accounts TO doorstep_app;

CREATE TABLE app.ledger_transactions (
    transaction_id uuid PRIMARY KEY,
    kind text NOT NULL,                        -- 'capture', 'refund', 'tip', 'cancellation_fee', 'adjustment', 'payout'
    booking_id uuid,
    reverses uuid UNIQUE REFERENCES app.ledger_transactions,
    reason text,
    correlation_id text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX ledger_transactions_booking ON app.ledger_transactions (booking_id);
CREATE INDEX ledger_transactions_correlation ON app.ledger_transactions (correlation_id);

CREATE TABLE app.ledger_entries (
    entry_id uuid PRIMARY KEY DEFAULT uuidv7(),
    transaction_id uuid NOT NULL REFERENCES app.ledger_transactions,
    account_id uuid NOT NULL REFERENCES app.accounts,
    currency text NOT NULL,
    debit bigint NOT NULL DEFAULT 0 CHECK (debit >= 0),
    credit bigint NOT NULL DEFAULT 0 CHECK (credit >= 0),
    CHECK ((debit = 0) <> (credit = 0))
);
CREATE INDEX ledger_entries_transaction ON app.ledger_entries (transaction_id);
CREATE INDEX ledger_entries_account ON app.ledger_entries (account_id, entry_id);

-- Balanced at commit, and only by the transaction that opened it: nobody appends a balanced pair to an old one.
CREATE FUNCTION app.ledger_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM app.ledger_entries WHERE transaction_id = NEW.transaction_id
               GROUP BY currency HAVING sum(debit) <> sum(credit)) THEN
        RAISE EXCEPTION 'ledger transaction % does not balance', NEW.transaction_id USING ERRCODE = 'check_violation';
    END IF;
    IF pg_current_xact_id() -- the transaction that is committing, whatever a row says of itself
       IS DISTINCT FROM (SELECT xid FROM app.ledger_transactions WHERE transaction_id = NEW.transaction_id) THEN
        RAISE EXCEPTION 'ledger transaction % is closed', NEW.transaction_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON app.ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.ledger_must_balance();
SELECT app.make_append_only('app.ledger_transactions', 'xid');
SELECT app.make_append_only('app.ledger_entries');

-- What was asked of the payment gateway. The intent is committed first; the call is made by nobody holding a transaction.
CREATE TABLE app.payment_intents (
    intent_id uuid PRIMARY KEY,                -- sent as the gateway's idempotency key
    booking_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('authorize', 'verify', 'capture', 'void', 'refund')),
    method text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'succeeded', 'declined', 'failed')),
    gateway text NOT NULL,
    gateway_ref text,
    attempts integer NOT NULL DEFAULT 0,
    correlation_id text NOT NULL,
    created_at timestamptz NOT NULL,
    settled_at timestamptz
);
CREATE INDEX payment_intents_booking ON app.payment_intents (booking_id);
CREATE INDEX payment_intents_pending ON app.payment_intents (created_at) WHERE status = 'pending';
GRANT SELECT, INSERT, UPDATE ON app.payment_intents TO doorstep_app;

CREATE TABLE app.gateway_webhooks (            -- what a gateway told us, once
    gateway text NOT NULL,
    message_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, message_id)
);
GRANT SELECT, INSERT ON app.gateway_webhooks TO doorstep_app;
