"""How long until somebody sees a marker move: waits for a server, signs in as the demo's dispatcher, watches.

`python -m loadtest.first_marker --url URL --since EPOCH_SECONDS` prints the seconds from that moment (say, `git clone`)
to the second position of one booking, and exits 1 when none came within `--patience`.
"""

import argparse
import asyncio
import random
import sys
import time
from contextlib import suppress

from loadtest.api import reach
from loadtest.dispatcher import MapWatcher
from loadtest.shapes import Account
from loadtest.tally import Tally

LOOK_EVERY_S = 0.1


async def first_move(url: str, account: Account, patience_s: float) -> bool:
    """Watch until one booking's place has changed."""
    async with asyncio.timeout(patience_s), reach(url) as server:
        watcher = MapWatcher(server, account, rng=random.Random(1), tally=Tally())
        watching = asyncio.create_task(watcher.run(), name="map watcher")
        first: dict[str, object] = {}
        try:
            while True:
                for booking_id, row in watcher.rows.items():
                    place = (row[2], row[3])
                    if first.setdefault(booking_id, place) != place:
                        return True
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def main() -> None:
    """Wait and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.first_marker", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--since", type=float, default=time.time(), help="seconds since the epoch")
    parser.add_argument("--patience", type=float, default=900.0, help="seconds to wait at most")
    asked = parser.parse_args()
    account = Account("dispatcher@demo.doorstep.example", "doorstep-demo")
    try:
        asyncio.run(first_move(asked.url, account, asked.patience))
    except TimeoutError:
        sys.exit(f"no marker moved within {asked.patience:.0f} s")
    print(f"{time.time() - asked.since:.1f} s to the first moving marker")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
