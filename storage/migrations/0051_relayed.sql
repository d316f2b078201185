-- Which event reached how many sockets, on which node: written in batches after sending, never on a booking's way.

CREATE TABLE app.relayed (
    event_id uuid NOT NULL,
    node text NOT NULL,
    at timestamptz NOT NULL,
    sockets integer NOT NULL CHECK (sockets > 0),
    PRIMARY KEY (event_id, node)
);
CREATE INDEX relayed_at ON app.relayed (at);
GRANT SELECT, INSERT ON app.relayed TO doorstep_app;
