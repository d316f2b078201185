"""What is history cannot be edited: by privilege for those who serve, by trigger for everybody else."""

from uuid import UUID

import asyncpg
import pytest

from domain.ledger import Entry, LedgerPosted
from storage.ids import new_id
from tests.integration.money.conftest import World

KEPT = """
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgname = 'refuse_row_change' ORDER BY 1
"""
EXPECTED = {
    "app.booking_events", "app.booking_notes", "app.job_runs", "app.jobs", "app.ledger_entries",
    "app.ledger_transactions", "app.match_candidates", "app.matches", "app.requests", "app.requirement_sets",
    "audit.events", "audit.seals",
}  # fmt: skip
MAY = """
SELECT privilege FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
WHERE has_table_privilege('doorstep_app', $1, privilege)
"""
ORDERED = """
SELECT attrelid::regclass::text AS name, has_column_privilege('doorstep_app', attrelid, attnum, 'INSERT') AS may_fill
FROM pg_attribute WHERE attname = 'xid' AND atthasdef ORDER BY 1
"""
FORGED = """
INSERT INTO app.ledger_transactions (transaction_id, kind, correlation_id, at, xid)
VALUES ($1, 'adjustment', 'by hand', now(), '9000000')
"""
OWNED = """
SELECT count(*) FROM pg_class
WHERE relowner IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'doorstep\\_%' AND NOT rolsuper)
"""
OPEN = """
INSERT INTO app.ledger_transactions (transaction_id, kind, correlation_id, at)
VALUES ($1, 'adjustment', 'by hand', now())
"""
ENTRY = """
INSERT INTO app.ledger_entries (transaction_id, account_id, currency, debit, credit) VALUES ($1, $2, $3, $4, $5)
"""


async def test_the_serving_role_cannot_edit_history(world: World) -> None:
    """For each append-only table of the catalogue: no UPDATE, DELETE or TRUNCATE, by privilege and in fact."""
    tables = {r["name"] for r in await world.owner.fetch(KEPT)}
    assert tables >= EXPECTED
    for table in sorted(tables):
        assert [r["privilege"] for r in await world.owner.fetch(MAY, table)] == []
        column = await world.one(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 1", table
        )
        edits = ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}")
        for statement in (edit.format(table, column) for edit in edits):
            async with world.stores.db.reading() as tx:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await tx.execute(statement)


async def test_even_the_owner_is_refused(world: World) -> None:
    """The owner's UPDATE of a row, and TRUNCATE of any of them, hit the trigger."""
    await world.held()
    with pytest.raises(asyncpg.RestrictViolationError):
        await world.owner.execute("UPDATE app.booking_events SET seq = seq + 1")
    with pytest.raises(asyncpg.RestrictViolationError):
        await world.owner.execute("DELETE FROM app.booking_events")
    for row in await world.owner.fetch(KEPT):
        with pytest.raises(asyncpg.RestrictViolationError):
            await world.owner.execute(f"TRUNCATE {row['name']} CASCADE")


async def test_serving_roles_own_nothing(world: World) -> None:
    """No table, sequence or index belongs to a role that serves."""
    assert await world.one(OWNED) == 0


def _entries(debit: int, credit: int) -> tuple[Entry, ...]:
    return Entry("customer_funds", "USD", debit=debit), Entry("platform_revenue", "USD", credit=credit)


async def _by_hand(world: World, *entries: tuple[str, int, int], to: UUID | None = None) -> None:
    """Write entries (currency, debit, credit) into the first account with plain SQL, as the serving role could."""
    account = await world.one("SELECT account_id FROM app.accounts WHERE code = 'customer_funds'")
    async with world.stores.db.transaction() as tx:
        transaction_id = to or new_id()
        if to is None:
            await tx.execute(OPEN, transaction_id)
        for entry in entries:
            await tx.execute(ENTRY, transaction_id, account, *entry)


async def test_an_unbalanced_transaction_does_not_commit(world: World) -> None:
    """What the domain cannot even build, SQL by hand cannot commit."""
    with pytest.raises(ValueError, match="balance"):
        LedgerPosted(new_id(), "adjustment", None, _entries(5, 4))
    await world.record(LedgerPosted(new_id(), "adjustment", None, _entries(5, 5)))
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        await _by_hand(world, ("USD", 1, 0))
    await _by_hand(world, ("USD", 1, 0), ("USD", 0, 1))


async def test_a_transaction_is_closed_by_its_commit(world: World) -> None:
    """Nobody appends to an old transaction, not even a balanced pair."""
    old = new_id()
    await world.record(LedgerPosted(old, "adjustment", None, _entries(5, 5)))
    with pytest.raises(asyncpg.CheckViolationError, match="is closed"):
        await _by_hand(world, ("USD", 3, 0), ("USD", 0, 3), to=old)


async def test_who_serves_cannot_say_in_which_transaction_it_is(world: World) -> None:
    """The transaction's id is PostgreSQL's word alone: nobody writes into a closed one, or into one to come."""
    ordered = {r["name"]: r["may_fill"] for r in await world.owner.fetch(ORDERED)}
    assert ordered == dict.fromkeys(("app.ledger_transactions", "app.outbox", "audit.events"), False)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.stores.db.transaction() as tx:
            await tx.execute(FORGED, new_id())


async def test_an_entry_speaks_the_currency_of_its_account(world: World) -> None:
    """Yen do not go into an account of dollars."""
    await world.record(LedgerPosted(new_id(), "adjustment", None, _entries(5, 5)))
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await _by_hand(world, ("JPY", 3, 0), ("JPY", 0, 3))


async def test_a_transaction_is_reversed_once(world: World) -> None:
    """The second reversal of the same transaction is refused."""
    first = new_id()
    await world.record(LedgerPosted(first, "adjustment", None, _entries(5, 5)))
    back = Entry("customer_funds", "USD", credit=5), Entry("platform_revenue", "USD", debit=5)
    await world.record(LedgerPosted(new_id(), "adjustment", None, back, reverses=first))
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.record(LedgerPosted(new_id(), "adjustment", None, back, reverses=first))
