"""Tests by floor: unit (pure), integration (real PostgreSQL and Valkey), e2e (real server, real browser)."""
