"""Who may call what, over every operation that is served: no token is a 401, another role a 403, before all else."""

from uuid import UUID

import pytest

from domain.context import Role
from rest.api import routes
from rest.registry import SIGNED_IN, Route
from services.passwords import Passwords
from storage import people
from storage.ids import new_id
from tests.integration.door import Door

ALL = list(routes())
NAMES = [f"{route.method} {route.path}" for route in ALL]


def address(route: Route) -> str:
    """Fill a path with ids of nothing."""
    path = route.path
    for name in route.variables:
        path = path.replace(f"{{{name}}}", str(new_id()) if name.endswith("_id") else "nothing-here")
    return path


async def everybody(door: Door) -> dict[Role, UUID]:
    """Return one person of each role."""
    found = {}
    async with door.world.stores.db.transaction() as tx:
        for role in SIGNED_IN:
            found[role] = new_id()
            await people.add(
                tx,
                found[role],
                email=f"{role}@roles.example",
                password_hash=Passwords().hash_now("not used here"),
                display_name=role,
                role=role,
            )
    return found


async def test_each_operation_lets_in_only_its_roles(door: Door) -> None:
    """Everything else about these requests is wrong too, and none of it is looked at."""
    tokens = {role: await door.token(person) for role, person in (await everybody(door)).items()}
    for route in ALL:
        if route.open:
            continue
        bare = await door.ask(route.method, address(route), {"wrong": True})
        assert (bare.status, bare.code) == (401, "unauthenticated"), route.path
        for role in SIGNED_IN - route.roles:
            said = await door.ask(route.method, address(route), {"wrong": True}, who=tokens[role])
            assert (said.status, said.code) == (403, "forbidden"), (route.method, route.path, role)


async def test_nobody_is_told_by_a_422_that_something_exists(door: Door) -> None:
    """Where a thing may be hidden, a bad body about nothing is a 404 for every role that may call at all."""
    tokens = {role: await door.token(person) for role, person in (await everybody(door)).items()}
    for route in ALL:
        if route.visible is None:
            continue
        for role in route.roles:
            said = await door.ask(
                route.method, f"{address(route)}?wrong=1", {"wrong": True}, who=tokens[role]
            )
            assert (said.status, said.code) == (404, "not_found"), (route.method, route.path, role)


@pytest.mark.parametrize("route", ALL, ids=NAMES)
def test_open_operations_are_the_contracts(route: Route) -> None:
    """Anonymous: auth, the catalogue, shares, health, and the gateways' signed webhooks."""
    prefixes = (
        "/v1/auth/register", "/v1/auth/token", "/v1/auth/refresh", "/v1/services", "/v1/service-areas",
        "/v1/experiences", "/v1/shares/", "/v1/webhooks/", "/healthz", "/readyz",
    )  # fmt: skip
    assert not route.open or route.path.startswith(prefixes)
