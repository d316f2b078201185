"""The simulator as a child process: it says how it is, survives a missing server, and leaves when told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
ENDS_WITHIN_S = 5.0  # two seconds on a machine that has time

CITY = [sys.executable, "-m", "loadtest.city", "--url", NOWHERE, "--technicians", "2"]


def test_without_a_server_it_says_so_and_ends_when_told() -> None:
    """A status line comes, with the phones away; SIGTERM ends it with code 0."""
    with subprocess.Popen(CITY, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        status = json.loads(child.stdout.readline())
        assert status["technicians"] == {"away": 2}
        told = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(ENDS_WITHIN_S) == 0
        assert time.monotonic() - told < ENDS_WITHIN_S


def test_it_ends_when_the_process_that_started_it_is_gone(tmp_path: Path) -> None:
    """Killed without a word, a demo leaves no phones behind."""
    said = tmp_path / "said"
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], 'w'))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(said), *CITY], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        until = time.monotonic() + 30
        while not said.read_text() and time.monotonic() < until:
            time.sleep(0.1)
        starter.kill()
    until = time.monotonic() + ENDS_WITHIN_S
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_bad_plan_is_one_sentence_and_a_code(tmp_path: Path) -> None:
    """A folder without traces is said on the same line-by-line channel."""
    done = subprocess.run(
        [*CITY, "--traces", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "holds no .csv" in json.loads(done.stdout)["failed"]
