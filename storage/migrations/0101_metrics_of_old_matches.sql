-- What was asked before the triggers of 0100 stood. Bookings follow by themselves: their subscriber begins at the oldest
-- row of the outbox, and `doorstep metrics rebuild` brings what is older than that.
INSERT INTO metrics.discoveries (match_id, at, service, experience, area_id, jurisdiction, reason, ranking_version)
SELECT match_id, created_at, service, experience, area_id, jurisdiction, reason, ranking_version FROM app.matches
ON CONFLICT (match_id) DO NOTHING;

INSERT INTO metrics.cards (match_id, technician_id, card_id, position)
SELECT match_id, technician_id, card_id, position FROM app.match_candidates WHERE card_id IS NOT NULL
ON CONFLICT (match_id, technician_id) DO NOTHING;
