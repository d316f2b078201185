"""A wrong clock is told from an old fix by how they arrive."""

from geo.clock import Clock

T0 = 1_790_000_000_000


def test_a_right_clock_is_left_alone() -> None:
    """Ordinary delays of a few seconds leave no trace."""
    clock = Clock()
    for i in range(50):
        clock = clock.observing(T0 + i * 5000, T0 + i * 5000 + (i % 7) * 900)
    assert clock == Clock()


def test_four_in_step_are_believed() -> None:
    """Three fixes that are off alike are a suspicion, the fourth is the offset."""
    clock = Clock()
    for i in range(4):
        assert clock.offset_ms == 0
        clock = clock.observing(T0 + 600_000 + i * 5000, T0 + i * 5000)
    assert clock.offset_ms == -600_000


def test_a_draining_buffer_is_no_offset() -> None:
    """Old fixes that come in faster than they were made say nothing about the clock."""
    clock = Clock()
    for i in range(200):
        clock = clock.observing(T0 + i * 5000, T0 + 3_600_000 + i * 700)
    assert clock.offset_ms == 0


def test_a_clock_that_is_set_right_is_followed() -> None:
    """After the phone's clock is corrected, the offset goes again."""
    clock = Clock(offset_ms=-600_000)
    for i in range(4):
        clock = clock.observing(T0 + i * 5000, T0 + i * 5000 + 100)
    assert clock.offset_ms == 100
