"""Cursors are opaque, and whatever is not one of ours is known as such."""

from hypothesis import given
from hypothesis import strategies as st

from services.feed import decode_cursor, encode_cursor
from storage.outbox import Place

PLACES = st.builds(Place, st.integers(0, (1 << 62) - 1), st.integers(0, (1 << 62) - 1))


@given(st.text(min_size=1, max_size=40), PLACES)
def test_round_trip(epoch: str, place: Place) -> None:
    """Every epoch and place comes back."""
    try:
        epoch.encode()
    except UnicodeEncodeError:
        return
    assert decode_cursor(encode_cursor(epoch, place)) == (epoch, place)


@given(st.text(max_size=200))
def test_anything_else_is_refused_quietly(cursor: str) -> None:
    """No text makes decoding raise, and numbers out of range are no places."""
    decoded = decode_cursor(cursor)
    assert decoded is None or (0 <= decoded[1].xid < 1 << 62 and 0 <= decoded[1].outbox_id < 1 << 62)
