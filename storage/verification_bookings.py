"""What must hold of bookings: events, outbox, time held, deadlines, alerts, sessions, words, links and kept answers.

Each rule finds what breaks it as (subject, why); `storage/verification.py` runs them.
"""

from storage.verification_rule import Rule

OPEN = "('requested', 'accepted', 'en_route', 'arrived', 'in_service')"

SEQ = Rule(
    "events without a gap",
    "the events of a booking are numbered from 1 to its version",
    "SELECT count(*) FROM app.booking_events",
    """
SELECT b.booking_id::text AS subject,
       format('version %s, but %s events, the last numbered %s', b.version, coalesce(e.events, 0), e.last) AS why
FROM app.bookings b
LEFT JOIN (SELECT booking_id, count(*) AS events, count(DISTINCT seq) AS numbers, max(seq) AS last
           FROM app.booking_events GROUP BY booking_id) e USING (booking_id)
WHERE e.events IS DISTINCT FROM b.version OR e.numbers IS DISTINCT FROM b.version OR e.last IS DISTINCT FROM b.version
UNION ALL
SELECT e.booking_id::text, format('event %s belongs to no booking', e.event_id) FROM app.booking_events e
WHERE NOT EXISTS (SELECT FROM app.bookings b WHERE b.booking_id = e.booking_id)
""",
)

# A day is what retention leaves in any case.
OUTBOX = Rule(
    "events in the outbox",
    "each event of the last day has one outbox row, and every row that is kept says what its event says",
    "SELECT count(*) FROM app.outbox",
    """
SELECT e.event_id::text AS subject, 'it has no outbox row' AS why
FROM app.booking_events e
WHERE e.at >= now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM app.outbox o WHERE o.event_id = e.event_id)
UNION ALL
SELECT o.event_id::text, format('outbox row %s is of no event', o.outbox_id) FROM app.outbox o
WHERE split_part(o.topic, '.', 1) IN ('booking', 'payment')
  AND NOT EXISTS (SELECT FROM app.booking_events e WHERE e.event_id = o.event_id)
UNION ALL
SELECT event_id::text, format('it has %s outbox rows', count(*)) FROM app.outbox GROUP BY event_id HAVING count(*) > 1
UNION ALL
SELECT e.event_id::text, format('outbox row %s says something else', o.outbox_id)
FROM app.outbox o JOIN app.booking_events e USING (event_id)
WHERE (o.topic, o.booking_id, o.correlation_id, o.at) IS DISTINCT FROM (e.type, e.booking_id, e.correlation_id, e.at)
""",
)

RESERVATIONS = Rule(
    "time held",
    "an open booking holds its technician's time, and nothing else does but a payment that is being authorised",
    "SELECT count(*) FROM app.reservations WHERE active",
    f"""
SELECT b.booking_id::text AS subject, format('%s, but no time of its technician is held', b.state) AS why
FROM app.bookings b
WHERE b.state IN {OPEN} AND b.technician_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM app.reservations r
                  WHERE r.booking_id = b.booking_id AND r.technician_id = b.technician_id AND r.active
                    AND r.held_until IS NULL AND r.during && tstzrange(b.starts_at, b.ends_at))
UNION ALL
SELECT r.booking_id::text, format('time of technician %s is held, but the booking is %s', r.technician_id,
                                  CASE WHEN b.booking_id IS NULL THEN 'not there'
                                       WHEN b.state NOT IN {OPEN} THEN b.state ELSE 'not theirs' END)
FROM app.reservations r LEFT JOIN app.bookings b USING (booking_id)
WHERE r.active AND CASE WHEN b.booking_id IS NULL THEN r.held_until IS NULL
                        ELSE b.state NOT IN {OPEN} OR b.technician_id IS DISTINCT FROM r.technician_id END
""",
)

OVERLAPS = Rule(
    "one visit at a time",
    "no technician holds two visits whose times, travel included, overlap",
    "SELECT count(DISTINCT technician_id) FROM app.reservations WHERE active",
    """
SELECT a.technician_id::text AS subject, format('bookings %s and %s overlap', a.booking_id, b.booking_id) AS why
FROM app.reservations a
JOIN app.reservations b ON b.technician_id = a.technician_id AND b.booking_id > a.booking_id AND b.during && a.during
WHERE a.active AND b.active
""",
)

DEADLINES = Rule(
    "deadlines",
    "what waits for an answer or for its end has its deadline, and none outlives what it is about",
    "SELECT count(*) FROM app.deadlines",
    """
SELECT b.booking_id::text AS subject, 'it waits for an answer, but no deadline will end that' AS why
FROM app.bookings b
WHERE b.state = 'requested' AND b.deadline_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM app.deadlines d WHERE d.booking_id = b.booking_id AND d.kind = 'unanswered'
                  AND d.fired_at IS NULL AND d.due_at >= b.deadline_at)
UNION ALL
SELECT b.booking_id::text, 'it is in service, but nothing watches its end' FROM app.bookings b
WHERE b.state = 'in_service' AND b.expected_end_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM app.deadlines d WHERE d.booking_id = b.booking_id AND d.kind = 'overrun'
                  AND d.due_at >= b.expected_end_at)
UNION ALL
SELECT d.booking_id::text, format('deadline %s is open, but the booking is %s', d.kind, b.state)
FROM app.deadlines d JOIN app.bookings b USING (booking_id)
WHERE d.fired_at IS NULL
  AND CASE d.kind WHEN 'unanswered' THEN b.state <> 'requested' WHEN 'unnoticed' THEN b.state <> 'requested'
                  WHEN 'no_show' THEN b.state <> 'arrived' WHEN 'overrun' THEN b.state <> 'in_service'
                  ELSE b.state IN ('completed', 'declined', 'expired', 'cancelled', 'no_show') END
""",
)

ALERTS = Rule(
    "alerts",
    "an alert stands as its last event says, once for each subject, and none but a lost request's outlives its visit",
    "SELECT count(*) FROM app.alerts",
    f"""
SELECT a.alert_id::text AS subject, format('it stands, but the booking is %s', b.state) AS why
FROM app.alerts a JOIN app.bookings b USING (booking_id) WHERE a.state <> 'cleared' AND b.state NOT IN {OPEN}
  AND NOT (a.kind = 'unanswered' AND b.state = 'expired') -- a lost customer: it stands until somebody has looked at it
UNION ALL
SELECT a.alert_id::text, format('it is %s, its last event is %s', a.state, coalesce(e.what, 'not there'))
FROM app.alerts a
LEFT JOIN LATERAL (SELECT what FROM app.alert_events e WHERE e.alert_id = a.alert_id
                   ORDER BY e.event_id DESC LIMIT 1) e ON true
WHERE (a.state, e.what) NOT IN (('raised', 'raised'), ('raised', 'woken'), ('acknowledged', 'acknowledged'),
                                ('acknowledged', 'snoozed'), ('cleared', 'cleared')) OR e.what IS NULL
UNION ALL
SELECT subject_id::text, format('%s alerts of kind %s stand', count(*), kind) FROM app.alerts
WHERE state <> 'cleared' GROUP BY subject_id, kind HAVING count(*) > 1
UNION ALL
SELECT e.event_id::text, 'an event of an alert that no dispatcher was told of' FROM app.alert_events e
WHERE e.at >= now() - interval '1 day' AND NOT EXISTS (SELECT FROM app.outbox o WHERE o.event_id = e.event_id)
""",
)

GPS_SESSIONS = Rule(
    "GPS sessions",
    "a session is open exactly while its technician is on the way",
    "SELECT count(*) FROM app.gps_sessions",
    """
SELECT b.booking_id::text AS subject, 'it is en_route, but its GPS session is not open' AS why FROM app.bookings b
WHERE b.state = 'en_route'
  AND NOT EXISTS (SELECT FROM app.gps_sessions s WHERE s.session_id = b.gps_session_id AND s.booking_id = b.booking_id
                  AND s.technician_id = b.technician_id AND s.closed_at IS NULL)
UNION ALL
SELECT s.booking_id::text, format('GPS session %s is open, but the booking is %s', s.session_id,
                                  coalesce(b.state, 'not there'))
FROM app.gps_sessions s LEFT JOIN app.bookings b USING (booking_id)
WHERE s.closed_at IS NULL AND (b.state IS DISTINCT FROM 'en_route' OR b.gps_session_id IS DISTINCT FROM s.session_id)
""",
)

WORDS = Rule(
    "notes and ratings",
    "each note has its words, each rating its event, and neither stands without",
    "SELECT (SELECT count(*) FROM app.booking_notes) + (SELECT count(*) FROM app.ratings)",
    """
SELECT e.event_id::text AS subject, 'a note without words' AS why FROM app.booking_events e
WHERE e.type = 'booking.noted' AND NOT EXISTS (SELECT FROM app.booking_notes n WHERE n.event_id = e.event_id)
UNION ALL
SELECT n.event_id::text, 'words without an event' FROM app.booking_notes n
WHERE NOT EXISTS (SELECT FROM app.booking_events e WHERE e.event_id = n.event_id)
UNION ALL
SELECT coalesce(e.booking_id, r.booking_id)::text,
       CASE WHEN r.booking_id IS NULL THEN 'rated, but its stars are not kept'
            WHEN e.booking_id IS NULL THEN 'stars without an event' ELSE 'the stars are not those of the event' END
FROM (SELECT booking_id, (data ->> 'stars')::integer AS stars FROM app.booking_events WHERE type = 'booking.rated') e
FULL JOIN app.ratings r USING (booking_id)
WHERE e.stars IS DISTINCT FROM r.stars
""",
)

COUNTERS = Rule(
    "technicians' counters",
    "a technician's visits and stars are those of their bookings",
    "SELECT count(*) FROM app.technicians",
    """
SELECT t.technician_id::text AS subject,
       format('%s visits, %s ratings, %s stars; the bookings say %s, %s, %s', t.jobs_completed, t.rating_count,
              t.rating_sum, coalesce(c.visits, 0), coalesce(r.ratings, 0), coalesce(r.stars, 0)) AS why
FROM app.technicians t
LEFT JOIN (SELECT b.technician_id, count(*) AS visits
           FROM app.booking_events e JOIN app.bookings b USING (booking_id) WHERE e.type = 'booking.completed'
           GROUP BY b.technician_id) c USING (technician_id)
LEFT JOIN (SELECT technician_id, count(*) AS ratings, sum(stars) AS stars FROM app.ratings GROUP BY technician_id) r
       USING (technician_id)
WHERE (t.jobs_completed, t.rating_count, t.rating_sum)
      IS DISTINCT FROM (coalesce(c.visits, 0), coalesce(r.ratings, 0), coalesce(r.stars, 0))
""",
)

SHARES = Rule(
    "share links",
    "no link to a visit lives longer than the visit",
    "SELECT count(*) FROM app.shares",
    f"""
SELECT s.share_id::text AS subject, format('it is live, but the booking is %s', coalesce(b.state, 'not there')) AS why
FROM app.shares s LEFT JOIN app.bookings b USING (booking_id)
WHERE s.ended_at IS NULL AND (b.state IS NULL OR b.state NOT IN {OPEN})
""",
)

IDEMPOTENCY = Rule(
    "kept answers",
    "an Idempotency-Key keeps a good answer or a refusal of the domain, and names a booking that exists",
    "SELECT count(*) FROM app.idempotency_keys",
    """
SELECT k.principal || ' ' || k.route AS subject, format('an answer %s is kept', k.status) AS why
FROM app.idempotency_keys k
WHERE k.status IS NOT NULL AND k.status NOT BETWEEN 200 AND 299 AND k.status NOT IN (402, 409, 422)
UNION ALL
SELECT k.principal || ' ' || k.route, 'an answer without a status' FROM app.idempotency_keys k
WHERE k.status IS NULL AND k.body IS NOT NULL
UNION ALL
SELECT k.principal || ' ' || k.route, format('answered %s for booking %s, which is not there', k.status, k.booking_id)
FROM app.idempotency_keys k
WHERE k.status BETWEEN 200 AND 299 AND k.booking_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM app.bookings b WHERE b.booking_id = k.booking_id)
UNION ALL
SELECT r.correlation_id, format('answered %s for booking %s, which is not there', r.status, r.booking_id)
FROM app.requests r
WHERE r.status BETWEEN 200 AND 299 AND r.booking_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM app.bookings b WHERE b.booking_id = r.booking_id)
""",
)

SUBSCRIPTIONS = Rule(
    "subscribers' cursors",
    "no subscriber has read beyond the horizon, where an earlier row may still appear",
    "SELECT count(*) FROM app.subscriptions",
    """
SELECT subscriber AS subject, format('it stands at transaction %s, the horizon at %s', xid,
                                     pg_snapshot_xmin(pg_current_snapshot())) AS why
FROM app.subscriptions WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())
""",
)

BOOKINGS: tuple[Rule, ...] = (
    SEQ, OUTBOX, RESERVATIONS, OVERLAPS, DEADLINES, ALERTS, GPS_SESSIONS, WORDS, COUNTERS, SHARES, IDEMPOTENCY,
    SUBSCRIPTIONS,
)  # fmt: skip
