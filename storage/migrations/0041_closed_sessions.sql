-- Every node asks twice a second which legs have just ended.
CREATE INDEX gps_sessions_closed ON app.gps_sessions (closed_at) WHERE closed_at IS NOT NULL;
