"""Mistakes of a first night: each is one sentence and a non-zero exit, and no password shows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Database


def refused(folder: Path, *arguments: str, **settings: str) -> str:
    """Run the command line, which cannot do it; returns the one line it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORSTEP_")}
    given = {f"DOORSTEP_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, "DOORSTEP_DATA_DIR": str(folder), "DOORSTEP_SECRET_KEY": "k" * 40, **given},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("doorstep: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:secretpass@no-such-host.invalid/x", "is not known"),
        ("postgresql://u:secretpass@127.0.0.1:1/x", "does not answer"),
        ("postgresql://u:secretpass@localhost:1/x", "does not answer"),
        ("postgresql://u:se/cretpass@127.0.0.1/x", "%2F"),
        ("mysql://u:secretpass@127.0.0.1/x", "no URL of the form postgresql://"),
    ],
)
def test_a_wrong_address_is_one_sentence(tmp_path: Path, url: str, words: str) -> None:
    """Unknown host, nobody there, a bare slash in the password, another database."""
    for command in (("serve", "--port", "0"), ("migrate",)):
        said = refused(tmp_path, *command, database_url=url)
        assert words in said
        assert "cretpass" not in said


def test_a_database_that_was_never_migrated_is_one_sentence(tmp_path: Path, empty_database: Database) -> None:
    """Whichever command meets it first."""
    url = empty_database.app_url
    assert "doorstep migrate" in refused(tmp_path, "serve", "--port", "0", database_url=url)
    assert "doorstep migrate" in refused(tmp_path, "job", "list", database_url=url)


def test_a_login_that_may_not_migrate_is_one_sentence(tmp_path: Path, empty_database: Database) -> None:
    """It names the setting that helps."""
    assert "DOORSTEP_MIGRATE_URL" in refused(tmp_path, "migrate", database_url=empty_database.app_url)
