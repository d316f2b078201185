-- A hold, or a checked method, is resolved once: taken from or let go. What got no answer may have gone through, so only
-- a plain refusal makes room for another try.
DROP INDEX app.payment_intents_one_resolution;
CREATE UNIQUE INDEX payment_intents_one_resolution ON app.payment_intents (parent_id)
    WHERE kind IN ('capture', 'charge', 'void') AND purpose <> 'tip' AND status <> 'declined';
