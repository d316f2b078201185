-- Each device counts its own fixes from 1, so a session that a second device took over has two of each number.
ALTER TABLE telemetry.fixes DROP CONSTRAINT fixes_pkey;
ALTER TABLE telemetry.fixes ADD COLUMN device_id text NOT NULL DEFAULT '' CHECK (length(device_id) <= 64);
ALTER TABLE telemetry.fixes ADD PRIMARY KEY (session_day, session_id, device_id, seq);
