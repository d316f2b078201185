"""What can go wrong outside of us, and the sentence that tells a person about it.

PostgreSQL's own words are never repeated: they may hold a piece of a password or of somebody's data.
"""

import errno
import socket

import asyncpg

from app.serving import PortTaken
from app.settings import SettingsError
from storage.embedded import EmbeddedPostgresError
from storage.migrate import MigrationError

type Told = tuple[tuple[type[Exception], ...], str]

DISK_FULL = "The disk is full: free some space and start again."
NOT_ALLOWED = (
    "PostgreSQL does not let this login do that ({}): `doorstep migrate` needs the database's owner in "
    "DOORSTEP_MIGRATE_URL, and serving needs a member of doorstep_app, doorstep_telemetry and doorstep_metrics."
)
TOLD: tuple[Told, ...] = (
    ((asyncpg.DiskFullError,), DISK_FULL),
    (
        (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError),
        "PostgreSQL refused the login or database of DOORSTEP_DATABASE_URL ({}).",
    ),
    (
        (
            asyncpg.InvalidSchemaNameError,
            asyncpg.UndefinedTableError,
            asyncpg.UndefinedColumnError,
            asyncpg.UndefinedFunctionError,
            asyncpg.InvalidParameterValueError,  # there is no such role: the first migration makes it
        ),
        "The database is not migrated ({}): run `doorstep migrate`.",
    ),
    ((asyncpg.InsufficientPrivilegeError,), NOT_ALLOWED),
    (
        (asyncpg.ClientConfigurationError,),
        "DOORSTEP_DATABASE_URL or DOORSTEP_MIGRATE_URL cannot be used ({}): see `doorstep serve --help`.",
    ),
    (
        (socket.gaierror,),
        "The host of DOORSTEP_DATABASE_URL is not known ({}): check how it is written.",
    ),
    (
        (
            ConnectionError,
            TimeoutError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.PostgresConnectionError,
        ),
        "PostgreSQL does not answer ({}): `doorstep doctor` says what to do.",
    ),
)


def sentence_of(error: BaseException) -> str | None:
    """Return what to tell a person about an error; None for one that is a fault of ours."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, EmbeddedPostgresError):
        return error.sentence
    if isinstance(error, (SettingsError, PortTaken, MigrationError)):
        return str(error)
    kind = type(error).__name__
    return next((words.format(kind) for types, words in TOLD if isinstance(error, types)), None) or (
        _of_the_system(error) if isinstance(error, OSError) else None
    )


def _of_the_system(error: OSError) -> str | None:
    if error.errno == errno.ENOSPC:
        return DISK_FULL
    if error.errno in {None, errno.EHOSTUNREACH, errno.ENETUNREACH}:  # none: several addresses, each refused
        return "PostgreSQL does not answer: `doorstep doctor` says what to do."
    return None
