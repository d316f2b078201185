"""The compose file, checked as far as that goes without an engine: by its schema, and by what we promise of it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import described
from storage.embedded_cluster import DATABASE, LOGIN, OWNER, ROLES

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file as an engine reads it, YAML merges done."""
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return parsed


def test_it_follows_the_compose_specification() -> None:
    """The file is valid by the published schema."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_processes_serve_behind_one_proxy(compose: dict[str, Any]) -> None:
    """Only the proxy has ports, and it leads to every serving process, by cookie for long-polling."""
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    caddyfile = compose["configs"]["caddyfile"]["content"]
    serving = [name for name in services if name.startswith("app-")]
    assert len(serving) == 2
    assert f"reverse_proxy {' '.join(f'{name}:8080' for name in serving)}" in caddyfile
    assert "lb_policy cookie" in caddyfile


def test_the_stores_are_out_of_reach(compose: dict[str, Any]) -> None:
    """PostgreSQL and Valkey lie on a network that leads nowhere else."""
    assert compose["networks"]["back"]["internal"] is True
    for store in ("postgres", "valkey"):
        assert compose["services"][store]["networks"] == ["back"]


def test_every_service_has_limits_and_a_bounded_log(compose: dict[str, Any]) -> None:
    """No service can take the whole machine, or fill its disk with words."""
    for name, service in compose["services"].items():
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_what_waits_waits_for_something_healthy(compose: dict[str, Any]) -> None:
    """Each dependency exists and has a health check, or has ended well; ours comes with the image."""
    services = compose["services"]
    for name, service in services.items():
        for wanted, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_completed_successfully":
                assert services[wanted]["restart"] == "no", name
            else:
                assert "healthcheck" in services[wanted] or "build" in services[wanted], name
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_only_the_proxy_may_speak_for_others(compose: dict[str, Any]) -> None:
    """The network whose forwarded addresses are believed is the proxy's own."""
    subnet = compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert compose["services"]["app-a"]["environment"]["DOORSTEP_TRUSTED_PROXIES"] == subnet


def test_every_setting_exists(compose: dict[str, Any]) -> None:
    """What the file sets is what the program reads."""
    known = {name for name, _, _ in described()}
    for name in ("app-a", "app-b", "migrate"):
        assert compose["services"][name]["environment"].keys() <= known


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    """Passwords and keys come from outside, and a missing one stops the start."""
    secrets = set(re.findall(r"\$\{(\w*(?:PASSWORD|KEY))(.)", COMPOSE.read_text()))
    assert {name for name, _ in secrets} == {
        "DOORSTEP_LOGIN_PASSWORD",
        "DOORSTEP_SECRET_KEY",
        "POSTGRES_PASSWORD",
        "VALKEY_PASSWORD",
    }
    assert {sign for _, sign in secrets} == {":"}
    assert compose["services"]["app-a"]["environment"].keys() >= {"DOORSTEP_SECRET_KEY", "DOORSTEP_REDIS_URL"}


def test_the_logins_are_those_of_the_embedded_server(compose: dict[str, Any]) -> None:
    """A database by compose and an embedded one give the serving login the same roles and no more."""
    script = compose["configs"]["serving-login"]["content"]
    assert re.findall(r"CREATE ROLE (\w+) NOLOGIN", script) == list(ROLES)
    assert f"GRANT {', '.join(ROLES)} TO {LOGIN}" in script
    assert f"CREATE ROLE {LOGIN} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE" in script
    assert compose["services"]["postgres"]["environment"]["POSTGRES_USER"] == OWNER
    assert compose["services"]["postgres"]["environment"]["POSTGRES_DB"] == DATABASE


def test_nothing_of_ours_runs_as_root(compose: dict[str, Any]) -> None:
    """The image has a user of its own, and a service of ours cannot gain more, nor write to its image."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    for service in compose["services"].values():
        if "build" in service:
            assert service["cap_drop"] == ["ALL"]
            assert service["read_only"] is True
