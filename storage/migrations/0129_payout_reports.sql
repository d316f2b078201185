-- Where technicians' money stands on its way out, for reports: no method, no reason, nobody who decided.
CREATE VIEW metrics.payout_items AS
SELECT i.item_id, i.technician_id, i.amount, i.currency, i.status, o.made_at, o.submitted_at, i.settled_at,
       CASE WHEN o.status = 'cancelled' THEN o.ended_at END AS cancelled_at
FROM app.payout_items i JOIN app.payouts o USING (payout_id);
GRANT SELECT ON metrics.payout_items TO doorstep_metrics;
