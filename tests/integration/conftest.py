"""What integration tests may ask for beyond the databases: a furnished world."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.integration.door import Door, open_door
from tests.integration.world import World, open_world


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """A small world on a database of this test alone."""
    async with open_world(database.app_url, database.owner_url) as furnished:
        yield furnished


@pytest.fixture
async def door(world: World) -> AsyncIterator[Door]:
    """The HTTP door of that world, on a real server."""
    async with open_door(world) as opened:
        yield opened
