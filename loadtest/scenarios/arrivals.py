"""The main job under a bounded load: N phones drive to N customers for so many seconds.

It holds when positions reached customers, technicians arrived, and errors stayed below one in a hundred happenings.
"""

from loadtest.city import CityPlan
from loadtest.latency import measure
from loadtest.scenarios.verdict import Ask, Verdict

SPEED = 20.0


async def arrivals(ask: Ask) -> Verdict:
    """Drive, watch and count."""
    plan = CityPlan(
        password=ask.password,
        first=ask.first,
        technicians=ask.phones,
        customers=ask.phones,
        speed=SPEED,
        roads=ask.roads,
    )
    status = await measure(ask.url, plan, ask.seconds)
    happened, errors = status.get("counts", {}), status.get("errors", {})
    arrived = happened.get("arrive", 0) + happened.get("arrivals_noticed_by_server", 0)
    reasons = []
    if not happened.get("positions"):
        reasons.append("no customer saw a position")
    if not arrived:
        reasons.append("nobody arrived")
    if sum(errors.values()) > 0.01 * max(1, sum(happened.values())):
        reasons.append(f"{sum(errors.values())} errors")
    return Verdict(not reasons, tuple(reasons), status)
