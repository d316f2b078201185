"""Set-up on machines that lack something: one clear sentence, and nothing half done."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD_PYTHON = """#!/bin/sh
case "$1" in -V) echo "Python 3.9.2" ;; *) exit 1 ;; esac
"""
TOOLS = ("cat", "cmp", "dirname", "grep", "head", "mkdir", "mktemp", "rm", "sh", "sleep", "tail")


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has a shell, its smallest tools and nothing else."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)
    return {"PATH": str(programs), "HOME": str(tmp_path)}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the set-up scripts and lock files of a fresh clone."""
    folder = tmp_path / "doorstep"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    for lock in ROOT.glob("requirements*.lock"):
        shutil.copy(lock, folder)
    return folder


def run(command: list[str], folder: Path, machine: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a set-up command on that machine."""
    return subprocess.run(command, cwd=folder, env=machine, capture_output=True, text=True, check=False)


def test_a_machine_with_an_old_python_is_told(clone: Path, machine: dict[str, str]) -> None:
    """Python below 3.12 is refused by name, and nothing is made."""
    for name in ("python3", "python3.12"):
        program = Path(machine["PATH"]) / name
        program.write_text(OLD_PYTHON)
        program.chmod(0o755)
    done = run([".ci/venv"], clone, machine)
    assert done.returncode == 1
    assert done.stderr.strip().startswith(
        "Doorstep needs Python 3.12 or newer, and this machine has Python 3.9.2:"
    )
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (clone / ".venv").exists()


def test_a_machine_without_python_is_told(clone: Path, machine: dict[str, str]) -> None:
    """No Python at all is the same sentence."""
    done = run([".ci/venv"], clone, machine)
    assert done.returncode == 1
    assert "Doorstep needs Python 3.12 or newer" in done.stderr


def test_help_lists_what_can_be_made() -> None:
    """`make` alone says what there is."""
    done = run(["make"], ROOT, dict(os.environ))
    for goal in ("demo", "test", "test-long", "check", "pages", "format", "lock", "clean"):
        assert f"  make {goal} " in done.stdout


def test_the_locks_hold_hashes_and_no_address() -> None:
    """Every locked package has its version and hashes, and the locks install from any mirror."""
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert "--find-links" not in text
        pins = [line for line in text.splitlines() if line and line[0].isalnum()]
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins)
