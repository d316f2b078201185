"""The documentation of the booking's life is what the code says."""

from pathlib import Path

from domain.booking_diagram import mermaid, table

PAGE = Path(__file__).parents[2] / "docs" / "booking.md"


def test_the_page_shows_the_table_of_the_code() -> None:
    """docs/booking.md contains the diagram and the table that the code prints today."""
    page = PAGE.read_text()
    assert mermaid() in page
    assert table() in page
