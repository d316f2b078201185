"""What this process knows of itself and PostgreSQL does not: who it is, its tasks, its sockets, how fast fixes come.

The composition root fills it in; `GET /v1/system` reads it. Names and numbers only.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NODE = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True)
class Vitals:
    """One process. `tasks` and `sockets` are asked when somebody looks."""

    node: str = NODE
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    tasks: Callable[[], Sequence[Mapping[str, Any]]] = list
    sockets: Callable[[], Mapping[str, int]] = dict
    horizon_age_s: float = 0.0
    fixes_per_s: float = 0.0
