-- Where money went is forgotten with its technician, unless something is still owed, on its way or to be taken for a visit:
-- then it is paid first, and retention looks again.

CREATE FUNCTION app.forget_payout_accounts(before timestamptz, most integer) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM app.payout_accounts WHERE technician_id IN (
            SELECT a.technician_id FROM app.payout_accounts a JOIN app.people p ON p.person_id = a.technician_id
            WHERE p.erased_at <= before
              AND NOT EXISTS (SELECT FROM app.bookings b
                              WHERE b.technician_id = a.technician_id AND b.state IN ('completed', 'cancelled', 'no_show')
                                AND b.payment_status IN ('pending', 'verified', 'authorized'))
              AND NOT EXISTS (SELECT FROM app.payout_items i JOIN app.payouts o USING (payout_id)
                              WHERE i.technician_id = a.technician_id AND i.status IN ('pending', 'submitted')
                                AND o.status <> 'cancelled')
              AND NOT EXISTS (SELECT FROM app.accounts c JOIN app.ledger_entries e USING (account_id)
                              WHERE c.owner_id = a.technician_id
                              GROUP BY c.account_id HAVING sum(e.credit) > sum(e.debit))
            LIMIT most)
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION app.forget_where_to_pay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.forget_payout_accounts(NEW.erased_at, 100);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_where_to_pay AFTER UPDATE OF erased_at ON app.people FOR EACH ROW
    WHEN (NEW.erased_at IS NOT NULL) EXECUTE FUNCTION app.forget_where_to_pay();
