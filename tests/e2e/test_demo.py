"""The demo as a person meets it: what it says, what it refuses in one sentence, and what it leaves behind (nothing)."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.embedded import remove_cluster
from tests.e2e.conftest import UP, DemoServer
from tests.e2e.processes import children_of, command_line

ENDED_WITHIN_S = 8.0


def get(url: str) -> tuple[int, Any]:
    """Read one address."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text.decode()


def run(folder: Path, *arguments: str, wait_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DOORSTEP_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, "DOORSTEP_DATA_DIR": str(folder)},
        capture_output=True, text=True, timeout=wait_s, check=False,
    )  # fmt: skip


def test_the_demo_shows_its_pages_and_accounts(demo_server: DemoServer) -> None:
    """One clean screen, and every address on it answers."""
    said = demo_server.said()
    assert "customer@demo.doorstep.example" in said
    addresses = re.findall(r"http://\S+", said)
    assert len(addresses) >= 5
    for address in set(addresses):
        assert get(address)[0] == 200


def test_the_demo_is_ready_and_documents_itself(demo_server: DemoServer) -> None:
    """Health, both documents, the metrics."""
    assert get(f"{demo_server.base_url}/readyz")[1]["status"] == "ready"
    assert get(f"{demo_server.base_url}/openapi.json")[1]["openapi"].startswith("3.1")
    assert get(f"{demo_server.base_url}/asyncapi.json")[1]["asyncapi"].startswith("3.")
    assert "doorstep_http_requests_total" in get(f"{demo_server.base_url}/metrics")[1]


def test_a_second_demo_in_the_folder_says_so(demo_server: DemoServer) -> None:
    """One sentence that names the folder, and a non-zero exit."""
    second = run(demo_server.data_dir, "demo", "--port", "0")
    assert second.returncode == 1
    assert second.stderr.startswith("doorstep: Another Doorstep")
    assert str(demo_server.data_dir) in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """It is found before anything is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = run(tmp_path / "data", "demo", "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"doorstep: Port {port} on 127.0.0.1 is taken by another program: choose another with --port.\n"
    )
    assert not (tmp_path / "data").exists()


def test_commands_work_beside_a_running_demo(demo_server: DemoServer) -> None:
    """`doctor`, `migrate` and `audit verify` use the database that runs."""
    migrated = run(demo_server.data_dir, "migrate")
    assert (migrated.returncode, migrated.stdout) == (0, "Nothing to do: every migration is applied.\n")
    verified = run(demo_server.data_dir, "audit", "verify")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith("The chain holds")
    looked = run(demo_server.data_dir, "doctor")
    assert "all applied" in looked.stdout


def test_serve_asks_for_a_signing_key(tmp_path: Path) -> None:
    """Outside the demo nobody invents one."""
    refused = run(tmp_path / "data", "serve", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("doorstep: DOORSTEP_SECRET_KEY is not set")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose cluster is removed afterwards."""
    data = tmp_path / "data"
    yield data
    remove_cluster(data)


def start(folder: Path) -> tuple[subprocess.Popen[str], str, float]:
    """Start a demo without phones; returns it, its address, and how long it took."""
    began = time.monotonic()
    demo = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo", "--port", "0", "--technicians", "5"],
        env={**os.environ, "DOORSTEP_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 - under nohup SIGHUP is ignored
    )  # fmt: skip
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if found := UP.search(said):
            return demo, found[1], time.monotonic() - began
    pytest.fail(said)


def end(demo: subprocess.Popen[str], how: signal.Signals) -> float:
    """Tell it to end; returns how long that took."""
    began = time.monotonic()
    demo.send_signal(how)
    demo.wait(ENDED_WITHIN_S)
    if demo.stdout is not None:
        demo.stdout.close()
    return time.monotonic() - began


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_all_that_it_started_and_keeps_its_data(folder: Path, how: signal.Signals) -> None:
    """Ctrl-C, SIGTERM, a closed terminal: soon nothing runs, and a second start is quick and knows its accounts."""
    demo, url, _ = start(folder)
    account = {"email": "founder@demo.doorstep.example", "password": "doorstep-demo"}
    token = sign_in(url, account)
    children = children_of(demo.pid)
    assert children
    assert end(demo, how) < ENDED_WITHIN_S
    assert demo.returncode == 0
    assert not any(command_line(child) for child in children)
    again, url, took_s = start(folder)
    try:
        assert took_s < 15
        assert who_am_i(url, token) == account["email"]
    finally:
        end(again, how)


def test_a_killed_demo_takes_its_phones_along_and_heals(folder: Path) -> None:
    """After kill -9 nothing drives on, and the next start recovers the data."""
    demo, _, _ = start(folder)
    phones: list[int] = []
    limit = time.monotonic() + 20
    while not phones and time.monotonic() < limit:
        phones = [pid for pid in children_of(demo.pid) if "loadtest.city" in command_line(pid)]
    demo.kill()
    demo.wait()
    if demo.stdout is not None:
        demo.stdout.close()
    assert phones
    while any("loadtest.city" in command_line(pid) for pid in phones):
        assert time.monotonic() < limit
        time.sleep(0.1)
    again, url, _ = start(folder)
    assert get(f"{url}/readyz")[1]["status"] == "ready"
    end(again, signal.SIGTERM)


def sign_in(url: str, account: dict[str, str]) -> str:
    """Return an access token."""
    request = urllib.request.Request(
        f"{url}/v1/auth/token", json.dumps(account).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.loads(answer.read())["access_token"])


def who_am_i(url: str, token: str) -> str:
    """Return the e-mail address of a token's person."""
    request = urllib.request.Request(f"{url}/v1/me", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.loads(answer.read())["email"])
