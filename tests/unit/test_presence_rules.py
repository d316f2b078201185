"""What a technician counts as."""

import pytest

from domain.presence import effective


@pytest.mark.parametrize(
    ("engaged", "connected", "said", "expected"),
    [
        (True, True, "available", "busy"),
        (True, False, None, "busy"),
        (False, True, "available", "available"),
        (False, True, "busy", "busy"),
        (False, True, "offline", "offline"),
        (False, False, "available", "offline"),
        (False, True, None, "offline"),
        (False, True, "asleep", "offline"),
    ],
)
def test_precedence(engaged: bool, connected: bool, said: str | None, expected: str) -> None:
    """A booking decides before a missing connection, and that before the newest word."""
    assert effective(engaged=engaged, connected=connected, said=said) == expected
