"""`doorstep serve` with several processes on one port: one dies, the others serve; Redis goes, bookings go on."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.embedded import remove_cluster
from storage.embedded_valkey import EmbeddedValkey
from tests.e2e.processes import children_of, command_line

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 12.0


def ready(url: str) -> dict[str, Any]:
    """Ask for readiness; an empty answer when nobody listens."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return dict(json.loads(answer.read()))
    except (urllib.error.URLError, OSError):
        return {}


def until(what: Callable[[], bool], within_s: float) -> None:
    """Wait for something to become true."""
    limit = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.1)


type Served = tuple[subprocess.Popen[bytes], str]


@pytest.fixture
def served(tmp_path: Path, valkey: EmbeddedValkey, unused_tcp_port: int) -> Iterator[Served]:
    """Two workers over an embedded PostgreSQL and a Valkey."""
    folder = tmp_path / "data"
    environment = {
        **os.environ,
        "DOORSTEP_DATA_DIR": str(folder),
        "DOORSTEP_REDIS_URL": valkey.url,
        "DOORSTEP_SECRET_KEY": "k" * 40,
        "DOORSTEP_PORT": str(unused_tcp_port),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--workers", "2"],
            env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        until(lambda: bool(ready(url)) and len(workers(process)) == 2, STARTS_WITHIN_S)
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_WITHIN_S)
        remove_cluster(folder)


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the worker processes."""
    return [pid for pid in children_of(process.pid) if "--shared" in command_line(pid)]


def test_a_worker_that_dies_is_replaced(served: Served) -> None:
    """The port goes on being served, and soon by two again."""
    process, url = served
    first = workers(process)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(set(workers(process)) - {first[0]}) == 2, 20)
    until(lambda: ready(url).get("status") == "ready", 20)


def test_without_redis_the_door_stays_open(served: Served, valkey: EmbeddedValkey) -> None:
    """Readiness says `degraded`, and heals by itself."""
    _, url = served
    assert ready(url)["hot_state_kind"] == "redis"
    valkey.stop()
    until(lambda: ready(url).get("status") == "degraded", 15)
    valkey.start()
    until(lambda: ready(url).get("status") == "ready", 15)


def test_the_end_leaves_no_worker(served: Served) -> None:
    """SIGTERM ends all of them within seconds."""
    process, _ = served
    all_of_them = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENDS_WITHIN_S) == 0
    assert not any(command_line(pid) for pid in all_of_them)
