"""What must hold of money: the books balance, and they, the intents and the events tell one story.

The gateway's own books are not looked at: it is a company outside, and finance reconciles with it.
"""

from storage.verification_rule import Rule

BALANCED = Rule(
    "ledger transactions",
    "debits equal credits in each currency of each transaction, which has both",
    "SELECT count(*) FROM app.ledger_transactions",
    """
SELECT transaction_id::text AS subject, format('%s off by %s', currency, sum(debit) - sum(credit)) AS why
FROM app.ledger_entries GROUP BY transaction_id, currency HAVING sum(debit) <> sum(credit)
UNION ALL
SELECT t.transaction_id::text, 'it has no entries' FROM app.ledger_transactions t
WHERE NOT EXISTS (SELECT FROM app.ledger_entries e WHERE e.transaction_id = t.transaction_id)
""",
)

TRIAL_BALANCE = Rule(
    "trial balance",
    "all debits equal all credits in each currency, and every entry is of its account's currency",
    "SELECT count(*) FROM app.ledger_entries",
    """
SELECT currency AS subject, format('debits %s, credits %s', sum(debit), sum(credit)) AS why
FROM app.ledger_entries GROUP BY currency HAVING sum(debit) <> sum(credit)
UNION ALL
SELECT e.entry_id::text, 'it is of another currency than its account' FROM app.ledger_entries e
WHERE NOT EXISTS (SELECT FROM app.accounts a WHERE a.account_id = e.account_id AND a.currency = e.currency)
""",
)

RESOLVED_ONCE = Rule(
    "holds resolved once",
    "a hold is taken from or let go, once",
    "SELECT count(*) FROM app.payment_intents WHERE kind IN ('authorize', 'verify')",
    """
SELECT parent_id::text AS subject, format('it was resolved %s times', count(*)) AS why FROM app.payment_intents
WHERE kind IN ('capture', 'charge', 'void') AND purpose <> 'tip' AND status <> 'declined'
GROUP BY parent_id HAVING count(*) > 1
""",
)

AMOUNTS = Rule(
    "amounts",
    "no more is taken than was held, no more given back than was taken, in one currency and for one booking",
    "SELECT count(*) FROM app.payment_intents",
    """
SELECT p.intent_id::text AS subject, format('%s taken of %s', sum(c.amount), p.amount) AS why
FROM app.payment_intents p JOIN app.payment_intents c ON c.parent_id = p.intent_id
WHERE c.kind IN ('capture', 'charge') AND c.purpose <> 'tip' AND c.status = 'succeeded'
GROUP BY p.intent_id, p.amount HAVING sum(c.amount) > p.amount
UNION ALL
SELECT p.intent_id::text, format('%s given back of %s', sum(c.amount), p.amount)
FROM app.payment_intents p JOIN app.payment_intents c ON c.parent_id = p.intent_id
WHERE c.kind = 'refund' AND c.status = 'succeeded' GROUP BY p.intent_id, p.amount HAVING sum(c.amount) > p.amount
UNION ALL
SELECT c.intent_id::text, 'it is of another booking or currency than what it takes from'
FROM app.payment_intents c JOIN app.payment_intents p ON p.intent_id = c.parent_id
WHERE (c.booking_id, c.currency) IS DISTINCT FROM (p.booking_id, p.currency)
""",
)

IN_THE_BOOKS = Rule(
    "payments in the ledger",
    "what the gateway took and gave back for a booking is what its ledger says",
    "SELECT count(*) FROM app.payment_intents WHERE kind IN ('capture', 'charge', 'refund') AND status = 'succeeded'",
    """
SELECT coalesce(i.booking_id, l.booking_id)::text AS subject,
       format('taken %s, given back %s; the ledger says %s, %s', coalesce(i.taken, 0), coalesce(i.returned, 0),
              coalesce(l.taken, 0), coalesce(l.returned, 0)) AS why
FROM (SELECT booking_id, currency, coalesce(sum(amount) FILTER (WHERE kind <> 'refund'), 0) AS taken,
             coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS returned
      FROM app.payment_intents WHERE kind IN ('capture', 'charge', 'refund') AND status = 'succeeded'
      GROUP BY booking_id, currency) i
FULL JOIN (SELECT t.booking_id, e.currency, sum(e.debit) AS taken, sum(e.credit) AS returned
           FROM app.ledger_transactions t JOIN app.ledger_entries e USING (transaction_id)
           JOIN app.accounts a USING (account_id)
           WHERE a.code = 'customer_funds'
             AND t.kind IN ('capture', 'cancellation_fee', 'no_show_fee', 'tip', 'refund')
           GROUP BY t.booking_id, e.currency) l USING (booking_id, currency)
WHERE (i.taken, i.returned) IS DISTINCT FROM (l.taken, l.returned)
""",
)

TOLD = Rule(
    "payments told",
    "each movement of money is one event of its booking, and each such event a movement",
    "SELECT count(*) FROM app.booking_events WHERE split_part(type, '.', 1) = 'payment'",
    """
SELECT coalesce(i.intent_id::text, e.intent_id) AS subject,
       CASE WHEN i.intent_id IS NULL THEN 'an event of no such movement'
            ELSE format('told %s times', coalesce(e.told, 0)) END AS why
FROM (SELECT intent_id, booking_id,
             CASE WHEN kind = 'refund' THEN 'payment.refunded' ELSE 'payment.captured' END AS type
      FROM app.payment_intents WHERE kind IN ('capture', 'charge', 'refund') AND status = 'succeeded') i
FULL JOIN (SELECT data ->> 'intent_id' AS intent_id, booking_id, type, count(*) AS told FROM app.booking_events
           WHERE type IN ('payment.captured', 'payment.refunded') GROUP BY 1, booking_id, type) e
       ON e.intent_id = i.intent_id::text AND e.type = i.type AND e.booking_id = i.booking_id
WHERE e.told IS DISTINCT FROM 1 OR i.intent_id IS NULL
UNION ALL
SELECT e.event_id::text, format('%s, but intent %s has not succeeded', e.type, e.data ->> 'intent_id')
FROM app.booking_events e
WHERE e.type IN ('payment.authorized', 'payment.voided')
  AND NOT EXISTS (SELECT FROM app.payment_intents i
                  WHERE i.intent_id = (e.data ->> 'intent_id')::uuid AND i.booking_id = e.booking_id
                    AND i.status = 'succeeded')
""",
)

STANDING = Rule(
    "payment status",
    "a booking's payment stands as its intents do",
    "SELECT count(*) FROM app.bookings",
    """
SELECT b.booking_id::text AS subject, format('its payment is %s, its intents are not', b.payment_status) AS why
FROM app.bookings b
LEFT JOIN (SELECT booking_id, array_agg(DISTINCT kind) AS kinds FROM app.payment_intents
           WHERE status = 'succeeded' GROUP BY booking_id) i USING (booking_id)
WHERE NOT coalesce(CASE b.payment_status
    WHEN 'verified' THEN 'verify' = ANY (i.kinds)
    WHEN 'authorized' THEN 'authorize' = ANY (i.kinds)
    WHEN 'captured' THEN i.kinds && ARRAY['capture', 'charge']
    WHEN 'refunded' THEN 'refund' = ANY (i.kinds)
    WHEN 'voided' THEN 'void' = ANY (i.kinds)
    WHEN 'failed' THEN true ELSE false END, false)
""",
)

# A pending intent is somebody's work: its row is in the queue (waiting, running or held as failed) until it is settled.
WORKED_ON = Rule(
    "payments under way",
    "whatever was asked of the gateway and has no answer has a job that asks for it",
    "SELECT count(*) FROM app.payment_intents WHERE status = 'pending'",
    """
SELECT i.intent_id::text AS subject, format('a %s is pending, and no job asks for its answer', i.kind) AS why
FROM app.payment_intents i
WHERE i.status = 'pending'
  AND NOT EXISTS (SELECT FROM jobs.pgqueuer q
                  WHERE convert_from(q.payload, 'UTF8')::jsonb -> 'payload' ->> 'intent_id' = i.intent_id::text)
""",
)

MONEY: tuple[Rule, ...] = (
    BALANCED, TRIAL_BALANCE, RESOLVED_ONCE, AMOUNTS, IN_THE_BOOKS, TOLD, STANDING, WORKED_ON,
)  # fmt: skip
