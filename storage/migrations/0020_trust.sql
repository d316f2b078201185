-- Writers for who may do what and who was shown: technicians, credentials, rules, matches.

ALTER TABLE app.credentials ADD COLUMN upload_id uuid;           -- the document that was handed in, if any
ALTER TABLE app.matches ADD COLUMN swaps jsonb NOT NULL DEFAULT '[]';  -- near-ties that changed places, and by how little
GRANT UPDATE (role) ON app.people TO doorstep_app;

-- Counters of visits and stars are not among the columns: they are counted by app.write_technician_stats alone.
CREATE FUNCTION app.write_technicians(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.technicians AS t (technician_id, bio, status, services, experiences, home_lat, home_lon, radius_m,
                                      time_zone, photo_url, availability, member_since, version)
    SELECT technician_id, bio, status, services, experiences, home_lat, home_lon, radius_m,
           time_zone, photo_url, availability, member_since, version
    FROM jsonb_populate_recordset(NULL::app.technicians, rows)
    ON CONFLICT (technician_id) DO UPDATE SET
        bio = EXCLUDED.bio, status = EXCLUDED.status, services = EXCLUDED.services,
        experiences = EXCLUDED.experiences, home_lat = EXCLUDED.home_lat, home_lon = EXCLUDED.home_lon,
        radius_m = EXCLUDED.radius_m, time_zone = EXCLUDED.time_zone, photo_url = EXCLUDED.photo_url,
        availability = EXCLUDED.availability, version = EXCLUDED.version
$$;

CREATE FUNCTION app.write_technician_stats(rows jsonb) RETURNS void LANGUAGE sql AS $$
    UPDATE app.technicians t SET
        jobs_completed = t.jobs_completed + x.jobs,
        rating_sum = t.rating_sum + x.stars,
        rating_count = t.rating_count + x.ratings
    FROM (SELECT technician_id, sum(jobs)::integer AS jobs, sum(stars)::bigint AS stars, sum(ratings)::integer AS ratings
          FROM jsonb_to_recordset(rows) AS r(technician_id uuid, jobs integer, stars integer, ratings integer)
          GROUP BY technician_id) AS x
    WHERE t.technician_id = x.technician_id
$$;

CREATE FUNCTION app.write_credentials(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.credentials AS c (credential_id, technician_id, credential_type, jurisdiction, number, issuer,
                                      issued_on, expires_on, status, verified_on, verified_how, next_check_on,
                                      submitted_at, upload_id)
    SELECT credential_id, technician_id, credential_type, jurisdiction, number, issuer,
           issued_on, expires_on, status, verified_on, verified_how, next_check_on, submitted_at, upload_id
    FROM jsonb_populate_recordset(NULL::app.credentials, rows)
    ON CONFLICT (credential_id) DO UPDATE SET
        status = EXCLUDED.status, verified_on = EXCLUDED.verified_on, verified_how = EXCLUDED.verified_how,
        next_check_on = EXCLUDED.next_check_on
$$;

CREATE FUNCTION app.write_requirement_sets(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.requirement_sets (jurisdiction, service, version, requirements, created_at, created_by)
    SELECT jurisdiction, service, version, requirements, created_at, created_by
    FROM jsonb_populate_recordset(NULL::app.requirement_sets, rows)
$$;

CREATE FUNCTION app.write_matches(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.matches (match_id, customer_id, service, experience, asked_for, jurisdiction, area_id,
                             ranking_version, reason, weights, seed, place, correlation_id, created_at, expires_at, swaps)
    SELECT match_id, customer_id, service, experience, asked_for, jurisdiction, area_id,
           ranking_version, reason, weights, seed, place, correlation_id, created_at, expires_at, swaps
    FROM jsonb_populate_recordset(NULL::app.matches, rows)
$$;

CREATE FUNCTION app.write_match_candidates(rows jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.match_candidates (match_id, technician_id, card_id, position, base_rank, gate, gate_detail,
                                      features, contributions, score, card, quote, starts_at)
    SELECT match_id, technician_id, card_id, position, base_rank, gate, gate_detail,
           features, contributions, score, card, quote, starts_at
    FROM jsonb_populate_recordset(NULL::app.match_candidates, rows)
$$;

-- Discovery looks around a place before it looks at anybody's rules.
CREATE INDEX technicians_home ON app.technicians (home_lat, home_lon);
CREATE INDEX bookings_engaged ON app.bookings (technician_id) WHERE state IN ('en_route', 'arrived', 'in_service');
