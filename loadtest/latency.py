"""How long a fix takes from a phone to its customer, in a server that is busy with other things.

`python -m loadtest.latency --url URL --seconds 60` adds a few quiet phones and their customers to a running demo
(the last of the simulator's accounts, which the city leaves free) and times each position from the moment the fix
leaves the phone to the moment the customer's socket has it. Both ends are here, so one clock measures. Prints a
small table and one JSON object; exits 1 when nothing was seen.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from loadtest.city import CityPlan, run
from loadtest.noise import QUIET
from loadtest.shapes import Json


async def measure(url: str, plan: CityPlan, seconds: float) -> Json:
    """Run the pairs for so long; the last status of their small city."""
    stop = asyncio.Event()
    latest: Json = {}
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await run(url, plan, stop, latest.update)
    return latest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.latency", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=3, help="phones, each with a customer")
    parser.add_argument("--first", type=int, default=58, help="number of the first account to use")
    parser.add_argument("--roads", type=Path, help="the prepared street network (else straight lines)")
    asked = parser.parse_args()
    plan = CityPlan(
        password=os.environ.get("DOORSTEP_SIM_PASSWORD", "doorstep-demo"),
        first=asked.first,
        technicians=asked.pairs,
        customers=asked.pairs,
        speed=20.0,
        roads=asked.roads,
        habits=QUIET,
    )
    status = asyncio.run(measure(asked.url, plan, asked.seconds))
    took = status.get("fix_to_customer_ms", {})
    lines = [
        "phone's fix -> customer's position, milliseconds",
        f"{'seen':>8}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}",
    ]
    lines.append(
        f"{took.get('count', 0):>8}"
        + "".join(f"{took.get(q, '-'):>10}" for q in ("p50", "p95", "p99", "max"))
    )
    lines.append(json.dumps({"fix_to_customer_ms": took, "errors": status.get("errors", {})}))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(0 if took.get("count") else 1)


if __name__ == "__main__":
    main()
