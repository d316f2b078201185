"""PostgreSQL and Redis: functions take `tx` first and never commit; no rules live here."""
