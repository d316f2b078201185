-- What is offered where, who may do it, and by which rule.

CREATE TABLE app.jurisdictions (
    code text PRIMARY KEY,                     -- 'US', 'US-MD', 'US-MD-Baltimore'
    parent text REFERENCES app.jurisdictions,
    name text NOT NULL,
    level text NOT NULL CHECK (level IN ('federal', 'state', 'county', 'city')),
    currency text NOT NULL DEFAULT 'USD',
    tax_bp integer NOT NULL DEFAULT 0 CHECK (tax_bp BETWEEN 0 AND 5000),
    complaint_contact text
);

CREATE TABLE app.services (
    service text PRIMARY KEY,                  -- slug: 'haircut', 'hvac_repair'
    name text NOT NULL,
    category text NOT NULL,
    description text NOT NULL,
    duration_s integer NOT NULL CHECK (duration_s BETWEEN 300 AND 43200),
    base_amount bigint NOT NULL CHECK (base_amount >= 0),
    currency text NOT NULL,
    position integer NOT NULL DEFAULT 0
);

CREATE TABLE app.experiences (
    experience text PRIMARY KEY,               -- slug: 'quiet_visit', 'explains_everything'
    name text NOT NULL,
    description text NOT NULL,
    position integer NOT NULL DEFAULT 0
);

CREATE TABLE app.service_areas (
    area_id uuid PRIMARY KEY,
    name text NOT NULL,
    jurisdiction text NOT NULL REFERENCES app.jurisdictions,
    time_zone text NOT NULL,
    geometry jsonb NOT NULL                    -- GeoJSON Polygon or MultiPolygon, WGS 84
);

CREATE TABLE app.requirement_sets (            -- the newest version rules; older ones explain older visits
    jurisdiction text NOT NULL REFERENCES app.jurisdictions,
    service text NOT NULL REFERENCES app.services,
    version integer NOT NULL,
    requirements jsonb NOT NULL,               -- [Requirement] as in the contract
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid REFERENCES app.people,
    PRIMARY KEY (jurisdiction, service, version)
);
SELECT app.make_append_only('app.requirement_sets');

CREATE TABLE app.technicians (
    technician_id uuid PRIMARY KEY REFERENCES app.people,
    bio text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('applied', 'approved', 'suspended')),
    services text[] NOT NULL,
    experiences text[] NOT NULL DEFAULT '{}',
    home_lat double precision NOT NULL,
    home_lon double precision NOT NULL,
    radius_m integer NOT NULL CHECK (radius_m BETWEEN 500 AND 100000),
    time_zone text NOT NULL,
    photo_url text,
    availability jsonb NOT NULL DEFAULT '[]',  -- [{weekday: 0-6 (Monday 0), from: "08:00", to: "20:00"}] local time
    member_since date NOT NULL,
    rating_sum bigint NOT NULL DEFAULT 0,
    rating_count integer NOT NULL DEFAULT 0,
    jobs_completed integer NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX technicians_services ON app.technicians USING gin (services);

CREATE TABLE app.credentials (
    credential_id uuid PRIMARY KEY,
    technician_id uuid NOT NULL REFERENCES app.technicians,
    credential_type text NOT NULL,
    jurisdiction text NOT NULL REFERENCES app.jurisdictions,
    number text NOT NULL,
    issuer text NOT NULL,
    issued_on date NOT NULL,
    expires_on date,                           -- NULL: does not expire (EPA 608)
    status text NOT NULL CHECK (status IN ('pending', 'verified', 'rejected', 'suspended', 'revoked')),
    verified_on date,
    verified_how text,
    next_check_on date,
    submitted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX credentials_technician ON app.credentials (technician_id);
CREATE INDEX credentials_status ON app.credentials (status, submitted_at);

GRANT SELECT, INSERT, UPDATE ON app.jurisdictions, app.services, app.experiences, app.service_areas,
    app.technicians, app.credentials TO doorstep_app;

-- A match is written whole, once, and never changes: who was considered, why, in which order it was shown.
CREATE TABLE app.matches (
    match_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES app.people,
    service text NOT NULL REFERENCES app.services,
    experience text[] NOT NULL,
    asked_for timestamptz,                     -- NULL: now
    jurisdiction text,
    area_id uuid,
    ranking_version text NOT NULL,
    reason text,                               -- why there are no cards
    weights jsonb NOT NULL,
    seed bigint NOT NULL,
    place bytea NOT NULL,                      -- {lat, lon} sealed under the customer's key
    correlation_id text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX matches_customer ON app.matches (customer_id, created_at DESC);

CREATE TABLE app.match_candidates (
    match_id uuid NOT NULL REFERENCES app.matches,
    technician_id uuid NOT NULL,
    card_id uuid UNIQUE,                       -- NULL: left out by a gate
    position integer,                          -- as shown, from 1
    base_rank integer,
    gate text,                                 -- the gate that stopped it
    gate_detail jsonb,
    features jsonb NOT NULL DEFAULT '{}',
    contributions jsonb NOT NULL DEFAULT '{}',
    score double precision,
    card jsonb,                                -- the card as shown (price, fit, trust, why)
    quote jsonb,                               -- {base, travel, tax, total, currency, tax_bp}: frozen
    starts_at timestamptz,
    PRIMARY KEY (match_id, technician_id)
);
SELECT app.make_append_only('app.matches');
SELECT app.make_append_only('app.match_candidates');
