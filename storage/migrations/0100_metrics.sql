-- Projections for reports: ids, times, codes and numbers; no name, no address, no position, and no customer at all.
-- What stands here can be made again from app.booking_events (`doorstep metrics rebuild`), so it may be edited.

-- A rebuild fills a generation of its own beside the live one, and becomes live at once when it is whole.
CREATE TABLE metrics.generations (
    generation integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    live boolean NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX generations_one_live ON metrics.generations (live) WHERE live;
INSERT INTO metrics.generations (live) VALUES (true);

CREATE TABLE metrics.visit_rows (
    generation integer NOT NULL,
    booking_id uuid NOT NULL,
    seq integer NOT NULL,                      -- of the newest event that is told here
    match_id uuid NOT NULL,
    service text NOT NULL,
    experience text[] NOT NULL,
    area_id uuid NOT NULL,
    jurisdiction text NOT NULL,
    card_position integer,                     -- of the card that was asked first
    technician_id uuid,                        -- who has the visit now, or had it at its end
    state text NOT NULL,
    starts_at timestamptz NOT NULL,            -- promised
    requested_at timestamptz,
    accepted_at timestamptz,                   -- for the first time
    departed_at timestamptz,                   -- on the leg that counts
    arrived_at timestamptz,
    arrived_by text,                           -- technician | detector | override
    started_at timestamptz,
    ended_at timestamptz,
    ended_by text,                             -- role
    ended_from text,                           -- state before the end
    reason_code text,
    releases integer NOT NULL,                 -- times that a technician gave it back
    extended_s integer NOT NULL,
    stars integer,
    payment_status text NOT NULL,
    currency text NOT NULL,
    quoted_amount bigint NOT NULL,
    fee_amount bigint NOT NULL,                -- of a cancellation or no-show, as the policy said
    captured_amount bigint NOT NULL,           -- price, fee and tip, as they were taken
    refunded_amount bigint NOT NULL,
    PRIMARY KEY (generation, booking_id)
);
CREATE INDEX visit_rows_requested ON metrics.visit_rows (generation, area_id, requested_at);
CREATE INDEX visit_rows_arrived ON metrics.visit_rows (generation, area_id, arrived_at) WHERE arrived_at IS NOT NULL;
CREATE INDEX visit_rows_match ON metrics.visit_rows (generation, match_id);

CREATE TABLE metrics.offer_rows (              -- a technician was asked
    generation integer NOT NULL,
    booking_id uuid NOT NULL,
    seq integer NOT NULL,                      -- of the event that asked
    technician_id uuid NOT NULL,
    cause text NOT NULL,                       -- customer | declined | expired | released | dispatcher
    card_position integer,                     -- NULL: a dispatcher chose
    offered_at timestamptz NOT NULL,
    answered_at timestamptz,
    answer text,                               -- accepted | declined | expired | withdrawn; NULL: still waiting
    released_at timestamptz,                   -- accepted, and given back later
    reason_code text,                          -- why declined, or given back
    PRIMARY KEY (generation, booking_id, seq)
);
CREATE INDEX offer_rows_offered ON metrics.offer_rows (generation, offered_at);

CREATE VIEW metrics.visits AS
SELECT v.booking_id, v.seq, v.match_id, v.service, v.experience, v.area_id, v.jurisdiction, v.card_position,
       v.technician_id, v.state, v.starts_at, v.requested_at, v.accepted_at, v.departed_at, v.arrived_at, v.arrived_by,
       v.started_at, v.ended_at, v.ended_by, v.ended_from, v.reason_code, v.releases, v.extended_s, v.stars,
       v.payment_status, v.currency, v.quoted_amount, v.fee_amount, v.captured_amount, v.refunded_amount
FROM metrics.visit_rows v JOIN metrics.generations g USING (generation) WHERE g.live;

CREATE VIEW metrics.offers AS
SELECT o.booking_id, o.seq, o.technician_id, o.cause, o.card_position, o.offered_at, o.answered_at, o.answer,
       o.released_at, o.reason_code
FROM metrics.offer_rows o JOIN metrics.generations g USING (generation) WHERE g.live;

-- What was asked, and what was shown. Written with the match itself, and kept when old candidates are not.
CREATE TABLE metrics.discoveries (
    match_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    service text NOT NULL,
    experience text[] NOT NULL,
    area_id uuid,                              -- NULL: outside every area
    jurisdiction text,
    reason text,                               -- why there were no cards
    ranking_version text NOT NULL
);
CREATE INDEX discoveries_at ON metrics.discoveries (at);

CREATE TABLE metrics.cards (
    match_id uuid NOT NULL,
    technician_id uuid NOT NULL,
    card_id uuid NOT NULL,
    position integer NOT NULL,                 -- as shown, from 1
    PRIMARY KEY (match_id, technician_id)
);

CREATE FUNCTION metrics.tell_discoveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metrics.discoveries (match_id, at, service, experience, area_id, jurisdiction, reason, ranking_version)
    SELECT match_id, created_at, service, experience, area_id, jurisdiction, reason, ranking_version FROM told
    ON CONFLICT (match_id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_discoveries AFTER INSERT ON app.matches REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT EXECUTE FUNCTION metrics.tell_discoveries();

CREATE FUNCTION metrics.tell_cards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metrics.cards (match_id, technician_id, card_id, position)
    SELECT match_id, technician_id, card_id, position FROM told WHERE card_id IS NOT NULL
    ON CONFLICT (match_id, technician_id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_cards AFTER INSERT ON app.match_candidates REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT EXECUTE FUNCTION metrics.tell_cards();

-- Windows with their owner's rights: who looks through them reaches these columns and nothing behind them.
CREATE VIEW metrics.areas AS
SELECT area_id, jurisdiction, time_zone FROM app.service_areas;

-- The books are the truth about money, and a copy could only be wrong: what moved each technician's account, live.
CREATE VIEW metrics.technician_money AS
SELECT e.entry_id, a.owner_id AS technician_id, t.kind, t.booking_id, t.at, e.currency, e.credit - e.debit AS amount
FROM app.ledger_entries e JOIN app.accounts a USING (account_id) JOIN app.ledger_transactions t USING (transaction_id)
WHERE a.owner_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON metrics.generations, metrics.visit_rows, metrics.offer_rows TO doorstep_app;
GRANT SELECT, INSERT, UPDATE ON metrics.discoveries, metrics.cards TO doorstep_app;
GRANT SELECT ON metrics.visits, metrics.offers TO doorstep_app;

-- Reports read, and only this.
REVOKE INSERT ON metrics.card_views FROM doorstep_metrics;
GRANT SELECT ON metrics.visits, metrics.offers, metrics.discoveries, metrics.cards, metrics.areas,
    metrics.technician_money TO doorstep_metrics;
