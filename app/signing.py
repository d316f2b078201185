"""The key that signs tokens: from the environment or, on a data directory of the demo, from a file only we read."""

import os
import secrets
from pathlib import Path

from app.settings import Settings, SettingsError

FILE = "secret-key"


def is_of_the_demo(settings: Settings) -> bool:
    """Tell whether the key would be the demo's own, beside accounts whose password is published."""
    return (
        settings.secret_key is None and settings.database_url is None and (settings.data_dir / FILE).exists()
    )


def secret_key(settings: Settings, *, make: bool = False) -> bytes:
    """Return the signing key. Raises SettingsError when there is none (and `make` does not allow a new one)."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = settings.data_dir / FILE
    if settings.database_url is None and path.exists():
        return path.read_text().strip().encode()
    if make:
        return _new(path)
    raise SettingsError(
        "DOORSTEP_SECRET_KEY is not set: give it 32 characters or more, for example from `openssl rand -hex 32`."
    )


def _new(path: Path) -> bytes:
    key = secrets.token_hex(32).encode()
    keep(path, key)
    return key


def keep(path: Path, key: bytes) -> None:
    """Write a secret into a file that only its folder's owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    owner = path.parent.stat()
    if os.geteuid() == 0 != owner.st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)
