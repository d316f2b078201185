"""`doorstep serve` on its own embedded PostgreSQL, which dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.embedded import holder, remove_cluster, running_postgres
from tests.e2e.test_workers import ENDS_WITHIN_S, STARTS_WITHIN_S, ready, until


@pytest.fixture
def served(tmp_path: Path, unused_tcp_port: int) -> Iterator[tuple[int, str, Path]]:
    """One process over an embedded PostgreSQL: its number, its address, its folder."""
    folder = tmp_path / "data"
    environment = {**os.environ, "DOORSTEP_DATA_DIR": str(folder), "DOORSTEP_SECRET_KEY": "k" * 40}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(unused_tcp_port)],
            env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        until(lambda: bool(ready(url)), STARTS_WITHIN_S)
        yield process.pid, url, folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_WITHIN_S)
        assert holder(folder) is None
        assert running_postgres(folder) is None
        remove_cluster(folder)


def test_a_postgresql_that_dies_is_started_again(served: tuple[int, str, Path]) -> None:
    """Within seconds the server is ready, at the same address; the folder has the same holder all the time."""
    pid, url, folder = served
    cluster = running_postgres(folder)
    assert cluster is not None
    died = cluster.cluster.running_pid()
    assert died is not None
    os.kill(died, signal.SIGKILL)
    until(lambda: cluster.cluster.running_pid() not in (None, died), 20)
    until(lambda: bool(ready(url)), 20)
    assert holder(folder) == pid
