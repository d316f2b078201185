"""Every operation that this door serves and documents, in the order of the document."""

from collections.abc import Iterator

from rest import auth, bookings, health, me, shares
from rest.registry import Route, Routes

API: tuple[Routes, ...] = (
    auth.ROUTES,
    me.ROUTES,
    bookings.ROUTES,
    shares.ROUTES,
    health.ROUTES,
)


def routes() -> Iterator[Route]:
    """Iterate over all operations."""
    for subject in API:
        yield from subject
