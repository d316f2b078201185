"""A simulator as a child process: one JSON object a line on stdout, gone within two seconds of being told.

It is told by SIGTERM, SIGINT, a closed stdout, or the death of the process that started it.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from loadtest.shapes import Json

PARENT_EVERY_S = 0.4

type Work = Callable[[asyncio.Event, Callable[[Json], None]], Awaitable[None]]


def run_as_child(work: Work) -> None:
    """Run until told to end; exits the process, 1 when the work itself failed."""
    uvloop.run(_main(work))


async def _main(work: Work) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for told in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(told, stop.set)

    def report(status: Json) -> None:
        try:
            print(json.dumps(status), flush=True)  # noqa: T201 - this program's output
        except (BrokenPipeError, ValueError):
            stop.set()

    watcher = asyncio.create_task(_watch_parent(stop))
    code = 0
    try:
        await work(stop, report)
    except Exception as error:  # noqa: BLE001 - said in one line to whoever started us
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)  # noqa: T201 - its parent reads it
        code = 1
    finally:
        watcher.cancel()
    # Sockets in the middle of a goodbye would hold the loop's own shutdown for seconds; nothing here needs it.
    sys.stdout.flush()
    os._exit(code)


async def _watch_parent(stop: asyncio.Event) -> None:
    """A child outlives its parent as a child of another process: then nobody wants it any more."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody but those who ask
        await asyncio.sleep(PARENT_EVERY_S)
    stop.set()
