"""Every operation that this door serves and documents, in the order of the document."""

from collections.abc import Iterator

from rest import (
    alerts,
    audit,
    auth,
    bookings,
    cancellation,
    catalogue,
    correlations,
    credentials,
    dead_letters,
    discovery,
    finance,
    health,
    me,
    notifications,
    payment_webhooks,
    payouts,
    refund_requests,
    reports,
    shares,
    system,
    technicians,
    webhooks,
)
from rest.registry import Route, Routes

API: tuple[Routes, ...] = (
    auth.ROUTES,
    me.ROUTES,
    notifications.ROUTES,
    catalogue.ROUTES,
    discovery.ROUTES,
    bookings.ROUTES,
    cancellation.ROUTES,
    alerts.ROUTES,
    shares.ROUTES,
    technicians.ROUTES,
    credentials.ROUTES,
    finance.ROUTES,
    payouts.ROUTES,
    refund_requests.ROUTES,
    payment_webhooks.ROUTES,
    webhooks.ROUTES,
    audit.ROUTES,
    correlations.ROUTES,
    dead_letters.ROUTES,
    system.ROUTES,
    reports.ROUTES,
    health.ROUTES,
)


def routes() -> Iterator[Route]:
    """Iterate over all operations."""
    for subject in API:
        yield from subject
