"""PostgreSQL and Redis: functions take a transaction and never commit; no rules live here."""
