"""Doctor tells a PostgreSQL that died from one that nobody started."""

import fcntl
import os
from pathlib import Path

from app.doctor import Finding, findings
from app.settings import Settings


async def database(folder: Path) -> Finding:
    """Return what doctor finds about the database."""
    found = await findings(Settings(data_dir=folder, port=0))
    return next(finding for finding in found if finding.subject == "Database")


async def test_a_postgresql_that_died_under_its_server_is_bad(tmp_path: Path) -> None:
    """The server still holds the folder; when it is gone too, nothing is wrong."""
    (tmp_path / "postgres").mkdir()
    with (tmp_path / "postgres" / "lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        died = await database(tmp_path)
    assert (died.grade, died.seen.partition(", ")[2]) == ("bad", f"died under process {os.getpid()}")
    assert str(os.getpid()) in died.advice
    assert (await database(tmp_path)).grade == "good"
