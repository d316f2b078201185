-- What cancelling costs, as data: each version holds from a moment on, in one area, in a jurisdiction with all below it, or
-- (neither given) everywhere. Versions are never edited: a visit is judged by the one it was asked for under.

CREATE TABLE app.cancellation_policies (
    version integer PRIMARY KEY,
    area_id uuid REFERENCES app.service_areas,
    jurisdiction text REFERENCES app.jurisdictions,
    valid_from timestamptz NOT NULL,
    terms jsonb NOT NULL,                      -- {free_until_s, tiers: [{state, fee_bp, lead_under_s}], no_show_fee_bp}
    made_at timestamptz NOT NULL,
    made_by uuid REFERENCES app.people,
    CHECK (area_id IS NULL OR jurisdiction IS NULL)
);
SELECT app.make_append_only('app.cancellation_policies');

INSERT INTO app.cancellation_policies (version, valid_from, terms, made_at) VALUES (1, '2000-01-01T00:00:00Z', '{
    "free_until_s": 7200,
    "tiers": [{"state": "accepted", "fee_bp": 2500, "lead_under_s": null},
              {"state": "en_route", "fee_bp": 5000, "lead_under_s": null},
              {"state": "arrived", "fee_bp": 5000, "lead_under_s": null},
              {"state": "in_service", "fee_bp": 5000, "lead_under_s": null}],
    "no_show_fee_bp": 5000
}', now());

-- The nearest scope wins: the area, then its jurisdiction, then those above it, then everywhere; in it the newest.
CREATE FUNCTION app.cancellation_policy_in_force(area uuid, place text, at timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT j.code, j.parent, 0 AS height FROM app.jurisdictions j WHERE j.code = place
        UNION ALL
        SELECT j.code, j.parent, up.height + 1 FROM app.jurisdictions j JOIN up ON j.code = up.parent WHERE up.height < 8
    )
    SELECT p.version FROM app.cancellation_policies p LEFT JOIN up ON up.code = p.jurisdiction
    WHERE p.valid_from <= at
      AND (p.area_id = area OR (p.area_id IS NULL AND (p.jurisdiction IS NULL OR up.code IS NOT NULL)))
    ORDER BY p.area_id IS NULL, p.jurisdiction IS NULL, up.height, p.valid_from DESC, p.version DESC
    LIMIT 1
$$;

CREATE FUNCTION app.write_cancellation_policies(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.cancellation_policies (version, area_id, jurisdiction, valid_from, terms, made_at, made_by)
    SELECT version, area_id, jurisdiction, valid_from, terms, made_at, made_by
    FROM jsonb_populate_recordset(NULL::app.cancellation_policies, rows)
$$;
