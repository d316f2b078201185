-- Bookings: the row is the fold of its events; both are written in one statement by app.record (0007).

CREATE SEQUENCE app.booking_numbers START 1001;

CREATE TABLE app.bookings (
    booking_id uuid PRIMARY KEY,
    number text NOT NULL UNIQUE,
    state text NOT NULL,
    version integer NOT NULL,                  -- = seq of its newest event
    service text NOT NULL REFERENCES app.services,
    experience text[] NOT NULL,
    customer_id uuid NOT NULL REFERENCES app.people,
    technician_id uuid REFERENCES app.technicians,
    match_id uuid NOT NULL,
    card_id uuid NOT NULL,
    area_id uuid NOT NULL REFERENCES app.service_areas,
    jurisdiction text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    expected_end_at timestamptz,
    deadline_at timestamptz,
    base_amount bigint NOT NULL,
    travel_amount bigint NOT NULL,
    tax_amount bigint NOT NULL,
    total_amount bigint NOT NULL,
    currency text NOT NULL,
    tax_bp integer NOT NULL,
    payment_status text NOT NULL,              -- pending | verified | authorized | captured | voided | refunded | failed
    gps_session_id uuid,
    fallback text NOT NULL CHECK (fallback IN ('none', 'next_card')),
    address bytea NOT NULL,                    -- sealed under the customer's key
    offered uuid[] NOT NULL DEFAULT '{}',      -- technicians that had this request (fallback never asks twice)
    near_at timestamptz,
    arrived_at timestamptz,
    fee_amount bigint NOT NULL DEFAULT 0,      -- what a cancellation or no-show costs the customer
    rated boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (total_amount = base_amount + travel_amount + tax_amount)
);
CREATE INDEX bookings_customer ON app.bookings (customer_id, created_at DESC, booking_id DESC);
CREATE INDEX bookings_technician ON app.bookings (technician_id, created_at DESC, booking_id DESC);
CREATE INDEX bookings_area ON app.bookings (area_id, created_at DESC, booking_id DESC);
CREATE INDEX bookings_newest ON app.bookings (created_at DESC, booking_id DESC);
CREATE INDEX bookings_open ON app.bookings (area_id, state)
    WHERE state IN ('requested', 'accepted', 'en_route', 'arrived', 'in_service');

CREATE TABLE app.booking_events (
    event_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES app.bookings,
    seq integer NOT NULL CHECK (seq > 0),
    type text NOT NULL,
    at timestamptz NOT NULL,
    actor_id uuid,                             -- NULL: the system
    actor_role text NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    data jsonb NOT NULL,                       -- no personal data
    UNIQUE (booking_id, seq)
);
CREATE INDEX booking_events_correlation ON app.booking_events (correlation_id);
SELECT app.make_append_only('app.booking_events');

-- Free text that people wrote about a visit, sealed under its author's key, so that erasure reaches it.
CREATE TABLE app.booking_notes (
    event_id uuid PRIMARY KEY REFERENCES app.booking_events,
    author_id uuid NOT NULL REFERENCES app.people,
    text bytea NOT NULL
);
SELECT app.make_append_only('app.booking_notes');

-- A technician's time. EXCLUDE is the backstop; services lock the technician's row first.
CREATE TABLE app.reservations (
    booking_id uuid NOT NULL,
    technician_id uuid NOT NULL REFERENCES app.technicians,
    during tstzrange NOT NULL,                 -- the visit with its travel buffers
    active boolean NOT NULL DEFAULT true,
    held_until timestamptz,                    -- a hold while the payment is being authorised; NULL: firm
    PRIMARY KEY (booking_id, technician_id),
    CONSTRAINT one_visit_at_a_time EXCLUDE USING gist (technician_id WITH =, during WITH &&) WHERE (active)
);

CREATE TABLE app.deadlines (                   -- rows, fired once by any process
    booking_id uuid NOT NULL REFERENCES app.bookings,
    kind text NOT NULL,                        -- 'unanswered' | 'overrun'
    due_at timestamptz NOT NULL,
    fired_at timestamptz,
    PRIMARY KEY (booking_id, kind)
);
CREATE INDEX deadlines_due ON app.deadlines (due_at) WHERE fired_at IS NULL;

CREATE TABLE app.gps_sessions (
    session_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES app.bookings,
    technician_id uuid NOT NULL REFERENCES app.technicians,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    close_reason text
);
CREATE INDEX gps_sessions_booking ON app.gps_sessions (booking_id);
CREATE INDEX gps_sessions_open ON app.gps_sessions (technician_id) WHERE closed_at IS NULL;

CREATE TABLE app.ratings (
    booking_id uuid PRIMARY KEY REFERENCES app.bookings,
    technician_id uuid NOT NULL REFERENCES app.technicians,
    stars integer NOT NULL CHECK (stars BETWEEN 1 AND 5),
    comment bytea,                             -- sealed under the customer's key
    at timestamptz NOT NULL
);

CREATE TABLE app.shares (
    share_id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES app.bookings,
    recipient_label text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text
);
CREATE UNIQUE INDEX shares_one_live_link ON app.shares (booking_id, recipient_label) WHERE ended_at IS NULL;

CREATE TABLE app.idempotency_keys (
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    locked_until timestamptz NOT NULL,         -- a claim whose process died may be taken over after this
    status integer,                            -- NULL: still running
    body bytea,                                -- sealed under the caller's key: it may hold an address
    booking_id uuid,                           -- what a taken-over claim goes on with
    created_at timestamptz NOT NULL,
    PRIMARY KEY (principal, route, key)
);
CREATE INDEX idempotency_keys_age ON app.idempotency_keys (created_at);

GRANT USAGE ON SEQUENCE app.booking_numbers TO doorstep_app;
GRANT SELECT, INSERT, UPDATE ON app.bookings, app.reservations, app.deadlines, app.gps_sessions, app.shares TO doorstep_app;
GRANT SELECT, INSERT ON app.ratings TO doorstep_app;
GRANT DELETE ON app.reservations, app.deadlines TO doorstep_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.idempotency_keys TO doorstep_app;
