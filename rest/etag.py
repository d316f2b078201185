"""ETags are versions: `"7"` is the seventh event of a booking."""

import re

OURS = re.compile(r'(?:W/)?"(\d{1,9})"')
NEVER = -1  # a version that nothing has: an ETag of somebody else's matches no booking of ours


def etag(version: int) -> str:
    """Return the header's value."""
    return f'"{version}"'


def if_match(header: str | None) -> int | None:
    """Return the version that a command relies on; None when it relies on none."""
    if header is None or header.strip() in {"", "*"}:
        return None
    found = OURS.fullmatch(header.strip())
    return int(found[1]) if found else NEVER
