"""What integration tests may ask for beyond the databases: a furnished world."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.integration.world import World, open_world


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """A small world on a database of this test alone."""
    async with open_world(database.app_url, database.owner_url) as furnished:
        yield furnished
