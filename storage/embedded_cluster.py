"""One cluster's life: made whole or not at all, started, stopped, and healed after a crash.

The files appear under their name only when initdb and the two roles are done, so a half-made cluster cannot exist.
A server left over from a killed Doorstep is stopped before a new one starts; a process number in `postmaster.pid`
counts as ours only if that process really is a PostgreSQL on these files.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from storage.embedded_binaries import Installation
from storage.embedded_errors import EmbeddedPostgresError, from_output

OWNER = "doorstep_owner"  # superuser of the cluster: migrations only
LOGIN = "doorstep_login"  # what the server logs in as: owns nothing
ROLES = (
    "doorstep_app",
    "doorstep_telemetry",
    "doorstep_metrics",
    "doorstep_audit",
)  # migrations grant to these
DATABASE = "doorstep"
LOG_LIMIT_BYTES = 8_000_000  # the log starts anew above this, keeping one old file
STOP_WAIT_S = 30
# What may stand in the way for a moment: a port just taken, children of a killed server on their way out.
PASSING = ("Address already in use", "pre-existing shared memory block")

SETTINGS = """\
# Written by Doorstep at each start. Your own settings: ALTER SYSTEM.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 120
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = '48MB'
huge_pages = off
work_mem = '4MB'
maintenance_work_mem = '48MB'
min_wal_size = '32MB'
max_wal_size = '256MB'
max_parallel_workers_per_gather = 0
io_method = 'sync'
jit = off
wal_level = 'replica'
max_wal_senders = 0
idle_in_transaction_session_timeout = '60s'
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off
log_checkpoints = off
log_line_prefix = '%m [%p] '
"""


@dataclass(frozen=True, slots=True)
class Passwords:
    """The random passwords of the two logins, kept beside the cluster with mode 0600."""

    owner: str
    login: str


def new_passwords() -> Passwords:
    """Two fresh passwords of 192 bits."""
    return Passwords(secrets.token_urlsafe(24), secrets.token_urlsafe(24))


class Cluster:
    """The files of one cluster and the server on them. Only the holder of the data directory's lock may use it."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._data = installation.cluster_dir / "data"
        self._log = installation.cluster_dir / "log"

    def exists(self) -> bool:
        return (self._data / "PG_VERSION").exists()

    def check_version(self) -> None:
        """Raise EmbeddedPostgresError("wrong_version") where another major version made the files."""
        made_by = (self._data / "PG_VERSION").read_text().strip()
        _, said = self._installation.run("postgres", "--version")
        ours = said.split()[-1].partition(".")[0] if said.split() else "unknown"
        if made_by != ours:
            raise EmbeddedPostgresError(
                "wrong_version",
                f"The files in {self._data} were made by PostgreSQL {made_by}, but version {ours} is installed: "
                "start over with FRESH=1, or dump and restore them.",
            )

    def create(self, passwords: Passwords) -> None:
        """Make the files, the database and both logins; all of it or nothing. Takes about a second."""
        fresh = self._data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self._installation.cluster_dir / "password"
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(passwords.owner)
            self._installation.give(password_file)
            self._must(
                "initdb",
                *("-D", str(fresh), "-U", OWNER, "-A", "scram-sha-256", f"--pwfile={password_file}"),
                *("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            )
        finally:
            password_file.unlink(missing_ok=True)
        # Single-user mode: one statement a line, and no server that somebody could reach before it is ready.
        statements = "".join(f"CREATE ROLE {role} NOLOGIN;\n" for role in ROLES) + (
            f"CREATE ROLE {LOGIN} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{passwords.login}';\n"
            f"GRANT {', '.join(ROLES)} TO {LOGIN};\n"
            f"CREATE DATABASE {DATABASE};\n"
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {DATABASE} FROM PUBLIC;\n"
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {LOGIN};\n"
        )
        self._must(
            "postgres", "--single", "-D", str(fresh), "-c", "exit_on_error=on", "postgres", stdin=statements
        )
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists = 'doorstep.conf'\n")
        fresh.rename(self._data)

    def start(self, *, at: int | None = None) -> int:
        """Start the server and wait until it answers, crash recovery included; answers its port, `at` if given."""
        said = ""
        for _ in range(5):  # a free port may be taken between asking and binding
            port = at or _free_port()
            settings = self._data / "doorstep.conf"
            settings.write_text(SETTINGS.format(port=port))
            self._installation.give(settings)
            self._turn_log()
            before = self._log.stat().st_size if self._log.exists() else 0
            status, said = self._installation.run(
                "pg_ctl", "start", "-w", "-t", "300", "-D", str(self._data), "-l", str(self._log), timeout_s=330
            )  # fmt: skip
            if status == 0:
                return port
            said += self._log_since(before)
            if not any(words in said for words in PASSING):
                break
            if at or PASSING[0] not in said:
                time.sleep(0.5)
        raise from_output(said, self._data)

    def stop(self) -> None:
        """Stop the server, gently first; never leaves it running."""
        pid = self.running_pid()
        if pid is None:
            return
        try:
            self._installation.run(
                "pg_ctl", "stop", "-m", "fast", "-w", "-t", str(STOP_WAIT_S), "-D", str(self._data),
                timeout_s=STOP_WAIT_S + 5,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pass
        finally:
            for hard in (signal.SIGQUIT, signal.SIGKILL):
                if self.running_pid() != pid:
                    break
                os.kill(pid, hard)
                _wait_gone(pid, seconds=5)

    def running_pid(self) -> int | None:
        """The process number of the server on these files, None if there is none.

        A stale number that now belongs to some other process is made harmless: PostgreSQL takes its parent's number
        for stale, and the rest of the file, by which it finds leftover children, stays.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
            pid = abs(int(lines[0]))
        except (FileNotFoundError, IndexError, ValueError):
            return None
        if not _alive(pid):
            return None
        if str(self._data) in _command_line(pid):
            return pid
        if pid != os.getpid():
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
        return None

    def running_port(self) -> int | None:
        """The port of the running server, None if none runs."""
        if self.running_pid() is None:
            return None
        lines = (self._data / "postmaster.pid").read_text().splitlines()
        return int(lines[3]) if len(lines) > 3 else None

    def last_words(self) -> str:
        """The end of PostgreSQL's log, for `doorstep doctor` and for a server that died under us."""
        return self._log_since(max(0, self._log.stat().st_size - 4000)) if self._log.exists() else ""

    def free_bytes(self) -> int:
        """The room on the disk of these files."""
        return shutil.disk_usage(self._installation.cluster_dir).free

    def _must(self, program: str, *args: str, stdin: str = "") -> None:
        status, said = self._installation.run(program, *args, stdin=stdin)
        if status != 0 or "FATAL" in said or "ERROR" in said:
            raise from_output(said, self._installation.cluster_dir)

    def _turn_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".old"))

    def _log_since(self, position: int) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wait_gone(pid: int, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def _command_line(pid: int) -> str:
    proc = Path(f"/proc/{pid}/cmdline")
    if proc.parent.parent.joinpath("self").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(
        ["/bin/ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False
    )
    return shown.stdout
