"""What can go wrong with the embedded PostgreSQL, said in one sentence that a person can act on.

Every failure that a person can cause or mend (disk, permission, another demo) has a code of its own; the rest is
`start_failed` with the last thing that PostgreSQL itself said. Nothing here ever carries a password.
"""

import errno
import os
from pathlib import Path
from typing import Literal

type Code = Literal[
    "binaries_missing",
    "disk_full",
    "in_use",
    "not_running",
    "permission",
    "start_failed",
    "wrong_version",
]


class EmbeddedPostgresError(Exception):
    """A refusal of the embedded PostgreSQL: `code` for programs, `sentence` for people."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code: Code = code
        self.sentence = sentence


def disk_full(folder: Path) -> EmbeddedPostgresError:
    """The disk under `folder` has no room."""
    return EmbeddedPostgresError(
        "disk_full", f"The disk that holds {folder} is full: free some space and start again."
    )


def from_os_error(error: OSError, folder: Path) -> EmbeddedPostgresError:
    """The sentence for a failure of the file system at `folder`."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT} or os.strerror(errno.ENOSPC) in str(error):
        return disk_full(folder)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        where = error.filename or folder
        return EmbeddedPostgresError(
            "permission",
            f"Doorstep may not use {where}: give this user the folder {folder}, "
            "or set DOORSTEP_DATA_DIR to another.",
        )
    return EmbeddedPostgresError(
        "start_failed", f"The embedded PostgreSQL in {folder} could not be set up: {error}."
    )


def from_output(output: str, folder: Path) -> EmbeddedPostgresError:
    """The sentence for what PostgreSQL's own programs or its log said last."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return disk_full(folder)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "ERROR"))]
    last = (telling or lines or ["it said nothing"])[-1]
    if "Permission denied" in last:
        return EmbeddedPostgresError(
            "permission",
            f"The embedded PostgreSQL may not use its files in {folder} ({last}): check who owns them.",
        )
    return EmbeddedPostgresError("start_failed", f"The embedded PostgreSQL in {folder} did not start: {last}")
