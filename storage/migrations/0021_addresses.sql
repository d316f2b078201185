-- What the built-in geocoder knows: house numbers of streets that were loaded. A seam: other geocoders need no table.
CREATE TABLE app.addresses (
    address_id uuid PRIMARY KEY DEFAULT uuidv7(),
    street text NOT NULL,
    number text,                               -- NULL: the middle of the street
    city text NOT NULL,
    postcode text NOT NULL,
    lat double precision NOT NULL,
    lon double precision NOT NULL,
    UNIQUE NULLS NOT DISTINCT (street, number, city)
);
CREATE INDEX addresses_street ON app.addresses (lower(street) text_pattern_ops);
GRANT SELECT, INSERT ON app.addresses TO doorstep_app;
