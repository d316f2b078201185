"""Sequence numbers are counted once, in any order, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from geo.handled import WINDOW, Handled


@given(st.lists(st.integers(0, 300), max_size=400))
def test_it_is_a_set_with_a_mark(numbers: list[int]) -> None:
    """It holds just the numbers given, and the mark is the highest at and below which none is missing."""
    handled = Handled()
    for seq in numbers:
        handled = handled.adding(seq)
    given_numbers = set(numbers)
    assert {seq for seq in range(310) if seq in handled} == given_numbers
    expected = 0
    while expected + 1 in given_numbers:
        expected += 1
    assert handled.upto == expected
    assert Handled.from_snapshot(handled.to_snapshot()) == handled


def test_a_whole_buffer_backwards() -> None:
    """Eight hours at 5 s, delivered newest first, end in one mark and no memory."""
    handled = Handled()
    for seq in range(5760, 0, -1):
        assert seq not in handled
        handled = handled.adding(seq)
    assert handled == Handled(5760)


def test_memory_is_bounded() -> None:
    """A gap that is left too far behind counts as handled, so the set never outgrows its window."""
    handled = Handled().adding(1).adding(5_000_000)
    assert handled.upto == 5_000_000 - WINDOW
    assert handled.beyond.bit_length() <= WINDOW
    assert 5_000_000 in handled
    assert 4_999_999 not in handled


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(0, 25))
def test_reaching_fills_every_gap(numbers: list[int], upto: int) -> None:
    """Up to the number all are in, above it nothing changed."""
    handled = Handled()
    for seq in numbers:
        handled = handled.adding(seq)
    reached = handled.reaching(upto)
    assert [seq in reached for seq in range(30)] == [seq <= upto or seq in handled for seq in range(30)]
    assert reached.upto == max(seq for seq in range(30) if all(each in reached for each in range(seq + 1)))
