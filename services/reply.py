"""What a use case answers: a reply that a door renders, or a refusal with a stable code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a JSON-ready body. `version` becomes the ETag; `replayed`: an earlier answer is repeated."""

    status: int
    body: Mapping[str, Any]
    version: int | None = None
    replayed: bool = False


type Answer = Reply | Refusal
