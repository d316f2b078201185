"""The embedded PostgreSQL under what really happens to it: kill -9, a second start, foreign files, a full disk."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from storage.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    embedded_postgres,
    remove_cluster,
    running_postgres,
)
from storage.embedded_errors import from_output

HOLD = """
import sys, time
from pathlib import Path
from storage.embedded import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as cluster:
    print(cluster.cluster.running_pid(), flush=True)
    time.sleep(120)
"""
START = """
import sys
from pathlib import Path
from storage import embedded
if sys.argv[2] == "unchecked":
    embedded.ROOM_FOR_A_NEW_CLUSTER_BYTES = 0
disk = Path(sys.argv[1])
try:
    with embedded.embedded_postgres(disk / "data", system_dir=disk / "system"):
        print("started")
except embedded.EmbeddedPostgresError as error:
    print(error.code, error.sentence)
"""
# A mount namespace of its own, so that the small disk is gone with the process. An ordinary user needs to be root of
# a user namespace to mount, and itself again to run PostgreSQL.
SMALL_DISK = 'mount -t tmpfs -o mode=0755,size="$3" tmpfs "$2" && exec $5 "$0" -c "$1" "$2" "$4"'
SMALL_DISKS = [("40m", "checked"), ("24m", "unchecked")]
if os.geteuid() == 0:
    SMALL_DISKS.append(("72m", "unchecked"))  # the binaries find room on it, the cluster does not


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose cluster is removed at the end."""
    folder = tmp_path / "data"
    yield folder
    if folder.exists():
        remove_cluster(folder)


@contextlib.contextmanager
def other_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another Doorstep that holds `data_dir`, and the process number of its PostgreSQL."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, data_dir], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        try:
            yield holder, int(holder.stdout.readline())
        finally:
            holder.kill()


async def write(cluster: EmbeddedPostgres) -> None:
    """One committed row."""
    connection = await asyncpg.connect(cluster.owner_url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)")
    finally:
        await connection.close()


async def rows(cluster: EmbeddedPostgres) -> int:
    """How many rows were kept."""
    connection = await asyncpg.connect(cluster.owner_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


def is_running(pid: int) -> bool:
    """Whether a process of that number lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended; fails after ten seconds."""
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_commits_reach_the_disk_and_logins_need_passwords(data_dir: Path) -> None:
    """Commits wait for the disk, and without its password nobody logs in."""
    with embedded_postgres(data_dir) as cluster:
        connection = await asyncpg.connect(cluster.app_url)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval("SELECT current_setting($1)", setting) == "on"
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(cluster.app_url.replace(cluster.passwords.login, "wrong"))
        for user in ("postgres", "doorstep_owner"):
            with pytest.raises(
                (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
            ):
                await asyncpg.connect(
                    host="127.0.0.1", port=cluster.port, user=user, database="postgres", password="x"
                )
    assert (data_dir / "postgres" / "passwords").stat().st_mode & 0o777 == 0o600
    assert cluster.passwords.login not in repr(cluster)


async def test_a_second_start_is_quick_and_keeps_the_data(data_dir: Path) -> None:
    """Stopping leaves no process, and the next start finds what was committed."""
    with embedded_postgres(data_dir) as cluster:
        await write(cluster)
        pid = cluster.cluster.running_pid()
    assert pid is not None
    assert not is_running(pid)
    with embedded_postgres(data_dir) as cluster:
        assert await rows(cluster) == 1


async def test_a_server_killed_with_minus_nine_recovers(data_dir: Path) -> None:
    """A PostgreSQL that was killed is started again by recovery, with its stale files in the way."""
    with embedded_postgres(data_dir) as cluster:
        await write(cluster)
        pid = cluster.cluster.running_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
    with embedded_postgres(data_dir) as cluster:
        assert await rows(cluster) == 1


async def test_a_server_that_dies_under_us_is_revived(data_dir: Path) -> None:
    """Killed in the middle of its work, the server comes back at the same address with what was committed."""
    with embedded_postgres(data_dir) as cluster:
        await write(cluster)
        assert not cluster.revive()
        pid = cluster.cluster.running_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
        assert cluster.revive()
        assert await rows(cluster) == 1


async def test_a_server_whose_doorstep_was_killed_is_replaced(data_dir: Path) -> None:
    """When Doorstep itself is killed its PostgreSQL lives on; the next start ends it and keeps the data."""
    with other_process(data_dir) as (holder, orphan):
        running = running_postgres(data_dir)
        assert running is not None
        await write(running)
        holder.kill()
        holder.wait()
        assert is_running(orphan)
        with embedded_postgres(data_dir) as cluster:
            assert not is_running(orphan)
            assert await rows(cluster) == 1


def test_a_second_doorstep_in_one_folder_says_so(data_dir: Path) -> None:
    """Two processes never share a data directory; the second hears who has it, and may still look."""
    with other_process(data_dir) as (holder, _):
        with (
            pytest.raises(EmbeddedPostgresError, match=f"process {holder.pid}") as refused,
            embedded_postgres(data_dir),
        ):
            pass
        assert refused.value.code == "in_use"
        with pytest.raises(EmbeddedPostgresError):
            remove_cluster(data_dir)
        assert running_postgres(data_dir) is not None


def test_a_reused_process_number_is_left_alone(data_dir: Path) -> None:
    """A stale process number that now belongs to somebody else neither stops the start nor harms that process."""
    with embedded_postgres(data_dir) as cluster:
        pid = cluster.cluster.running_pid()
        assert pid is not None
        pid_file = Path(f"/proc/{pid}/cwd").readlink() / "postmaster.pid"
        stale = pid_file.read_text()
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
    with subprocess.Popen(["sleep", "60"], user=pid_file.stat().st_uid) as stranger:
        pid_file.write_text(stale.replace(str(pid), str(stranger.pid), 1))
        with embedded_postgres(data_dir) as cluster:
            assert cluster.cluster.running_pid() is not None
        assert stranger.poll() is None
        stranger.kill()


def test_files_of_another_version_are_not_touched(data_dir: Path) -> None:
    """Files of another major version are refused with the way out."""
    with embedded_postgres(data_dir) as cluster:
        pid = cluster.cluster.running_pid()
        version = Path(f"/proc/{pid}/cwd").readlink() / "PG_VERSION"
    version.write_text("17\n")
    with (
        pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 17, but version 18") as refused,
        embedded_postgres(data_dir),
    ):
        pass
    assert refused.value.code == "wrong_version"


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    """Without the right to write, one sentence names the folder (root may write anywhere but on a file)."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    wanted = closed / "data" if os.geteuid() != 0 else Path("/proc/doorstep")
    with pytest.raises(EmbeddedPostgresError, match=str(wanted)) as refused, embedded_postgres(wanted):
        pass
    assert refused.value.code in {"permission", "start_failed"}


def test_a_removed_data_directory_means_a_new_start(data_dir: Path) -> None:
    """Whoever removes the data directory by hand starts anew, wherever the files lay."""
    with embedded_postgres(data_dir) as cluster:
        first = cluster.passwords
    remove_cluster(data_dir)
    with embedded_postgres(data_dir) as cluster:
        assert cluster.passwords != first
    (data_dir / "postgres" / "passwords").unlink()
    if os.geteuid() == 0:
        with embedded_postgres(data_dir) as cluster:
            assert cluster.port
    else:
        with pytest.raises(EmbeddedPostgresError, match="FRESH=1"), embedded_postgres(data_dir):
            pass


@pytest.mark.parametrize(("size", "check"), SMALL_DISKS)
def test_a_full_disk_is_one_clear_sentence(size: str, check: str) -> None:
    """A disk without room is told before the start, and also when it fills in the middle of it."""
    uid = os.geteuid()
    namespace = ["unshare", "--mount"] if uid == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    itself = "" if uid == 0 else f"unshare --user --map-user={uid} --map-group={os.getegid()}"
    with tempfile.TemporaryDirectory() as disk:
        Path(disk).chmod(0o755)
        done = subprocess.run(
            [*namespace, "sh", "-c", SMALL_DISK, sys.executable, START, disk, size, check, itself],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small disk: {done.stderr.strip()}")
    assert done.stdout.startswith("disk_full The disk that holds"), done
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("initdb: error: could not write: No space left on device", "disk_full"),
        ("FATAL:  could not open file: Permission denied", "permission"),
        ("LOG:  starting\nFATAL:  configuration file has errors\n", "start_failed"),
        ("", "start_failed"),
    ],
)
def test_what_postgres_said_becomes_a_sentence(said: str, code: str, tmp_path: Path) -> None:
    """An unknown failure passes on the last telling line of PostgreSQL's own words."""
    error = from_output(said, tmp_path)
    assert error.code == code
    assert "starting" not in error.sentence
