-- People, their keys and their sessions. Personal text lives here or encrypted under the person's key, never in events.

CREATE TABLE app.people (
    person_id uuid PRIMARY KEY,
    email citext UNIQUE,                       -- NULL once erased
    password_hash text,                        -- argon2id; NULL once erased
    display_name text NOT NULL,
    phone text,
    role text NOT NULL CHECK (role IN ('customer', 'technician', 'dispatcher', 'support', 'finance', 'founder')),
    areas uuid[],                              -- a dispatcher's areas; NULL means all
    email_verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz
);

-- Destroying the key is what erases a person's addresses and places wherever they stand.
CREATE TABLE app.person_keys (
    person_id uuid PRIMARY KEY REFERENCES app.people,
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);

CREATE TABLE app.token_families (
    family_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES app.people,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_reason text
);
CREATE INDEX token_families_person ON app.token_families (person_id);
CREATE INDEX token_families_revoked ON app.token_families (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE app.refresh_tokens (
    token_hash bytea PRIMARY KEY,              -- SHA-256; the successor is derived by HMAC, so it can be answered again
    family_id uuid NOT NULL REFERENCES app.token_families ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_family ON app.refresh_tokens (family_id);

-- One-time secrets sent by mail: verification and password reset.
CREATE TABLE app.mail_tokens (
    token_hash bytea PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES app.people,
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset')),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

GRANT SELECT, INSERT, UPDATE ON app.people, app.mail_tokens TO doorstep_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.token_families, app.refresh_tokens TO doorstep_app;
GRANT SELECT, INSERT, DELETE ON app.person_keys TO doorstep_app;
