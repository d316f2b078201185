"""A phone forgets a fix only when it is durable, whatever is lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.buffer import FixBuffer, Reading


def a_buffer(fixes: int, limit: int = 5_000) -> FixBuffer:
    """A buffer of so many fixes, one a second."""
    buffer = FixBuffer("session", "device", limit=limit)
    for t in range(fixes):
        buffer.add(Reading(t * 1_000, 39.0, -76.0, acc_m=4.26))
    return buffer


def test_fixes_are_numbered_from_one_and_sent_oldest_first() -> None:
    """Batches follow the order of time and are never larger than asked."""
    buffer = a_buffer(150)
    assert buffer.take() == list(range(1, 101))
    assert buffer.take() == list(range(101, 151))
    assert buffer.take() == []


def test_what_is_unknown_is_not_sent() -> None:
    """A fix carries only what the phone knows, rounded."""
    message = a_buffer(1).message([1])
    assert message["fixes"] == [{"seq": 1, "t": 0, "lat": 39.0, "lon": -76.0, "acc_m": 4.3}]


def test_an_ack_without_durability_forgets_nothing() -> None:
    """`acked_seq` is not enough: PostgreSQL may not have it yet."""
    buffer = a_buffer(3)
    buffer.take()
    buffer.acked({"acked_seq": 3, "durable_seq": 1})
    assert len(buffer) == 2
    buffer.send_again()
    assert buffer.take() == [2, 3]


def test_a_full_buffer_drops_the_oldest_and_counts_it() -> None:
    """Hours without signal cost the first fixes, not the memory of the phone."""
    buffer = a_buffer(30, limit=10)
    assert len(buffer) == 10
    assert buffer.dropped == 20
    assert buffer.take() == list(range(21, 31))


@given(
    st.lists(st.one_of(st.just("add"), st.just("send"), st.just("lose"), st.integers(0, 60)), max_size=120)
)
def test_nothing_is_lost_before_it_is_durable(steps: list[str | int]) -> None:
    """After any mix of sending, losing the connection and acks, every fix above durable_seq can still be sent."""
    buffer, added, durable = FixBuffer("s", "d"), 0, 0
    for step in steps:
        if step == "add":
            added = buffer.add(Reading(added, 1.0, 1.0))
        elif step == "send":
            buffer.take(7)
        elif step == "lose":
            buffer.send_again()
        elif isinstance(step, int):
            durable = max(durable, min(step, added))
            buffer.acked({"durable_seq": durable})
    buffer.send_again()
    assert buffer.take(500) == list(range(durable + 1, added + 1))
