"""`python -m loadtest.scenarios NAME --url URL`: one verdict as JSON; exit 1 if it did not hold."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from loadtest.scenarios import SCENARIOS, Ask


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.scenarios", description=__doc__)
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--url", required=True)
    parser.add_argument("--phones", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--roads", type=Path)
    asked = parser.parse_args()
    password = os.environ.get("DOORSTEP_SIM_PASSWORD", "doorstep-demo")
    ask = Ask(asked.url, password, asked.phones, asked.first, asked.seconds, asked.roads)

    async def run() -> int:
        verdict = await SCENARIOS[asked.scenario](ask)
        out = {"held": verdict.held, "reasons": verdict.reasons, "numbers": verdict.numbers}
        sys.stdout.write(json.dumps(out, indent=2) + "\n")
        return 0 if verdict.held else 1

    sys.exit(asyncio.run(run()))


if __name__ == "__main__":
    main()
