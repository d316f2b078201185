"""Serves an application on a port until somebody says stop, and ends within seconds.

The first SIGINT, SIGTERM or SIGHUP (the terminal was closed) begins a graceful end: no new connections, requests get a
moment, tasks finish. The second ends the process at once.
"""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web

REQUESTS_END_WITHIN_S = 3.0
KEEPALIVE_S = 75.0


class PortTaken(Exception):
    """Another program listens there; the message is one sentence."""


def check_port(host: str, port: int) -> None:
    """Raise PortTaken before any work is done for nothing."""
    if port == 0:
        return
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise _taken(host, port, error) from error


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"Port {port} on {host} is taken by another program: choose another with --port.")
    if error.errno == errno.EACCES:
        return PortTaken(f"This user may not listen on port {port}: choose one above 1023 with --port.")
    return PortTaken(f"Doorstep cannot listen on {host} port {port}: {error.strerror or error}.")


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, shared: bool = False
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the base URL. `shared`: several processes listen on the same port."""
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=REQUESTS_END_WITHIN_S, keepalive_timeout=KEEPALIVE_S
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_port=shared or None)
        try:
            await site.start()
        except OSError as error:
            raise _taken(host, port, error) from error
        at = runner.addresses[0]
        shown = "127.0.0.1" if at[0] in ("0.0.0.0", "::") else at[0]  # noqa: S104 - compared, not bound
        yield f"http://[{shown}]:{at[1]}" if ":" in shown else f"http://{shown}:{at[1]}"
    finally:
        await runner.cleanup()


def ends() -> list[signal.Signals]:
    """Return the signals beside Ctrl-C that end a process: under `nohup` a closed terminal is none of them."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, *hung_up]


def run_until_told[T](work: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `work(stop)` on uvloop; signals set `stop`, a second one ends the process."""

    async def main() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def told(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()

        for number in (signal.SIGINT, *ends()):
            loop.add_signal_handler(number, told, number)
        return await work(stop)

    return uvloop.run(main())
