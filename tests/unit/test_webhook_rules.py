"""The rules of outgoing webhooks: topics, the schedule of tries, what an answer means, and the sealed secrets."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from domain import webhooks as rules
from domain.webhooks import Outcome
from services.webhook_secrets import new_secret, seal, signed_headers, unseal

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOOK = UUID(int=7)
BUSY = Outcome(503)


@pytest.mark.parametrize(
    ("topics", "topic", "heard"),
    [
        (("*",), "booking.requested", True),
        (("booking.*",), "booking.requested", True),
        (("booking.*",), "payment.captured", False),
        (("payment.captured",), "payment.captured", True),
        (("payment.captured",), "payment.refunded", False),
        (("*",), "payment.voided", False),
        (("*",), "alert.raised", False),
    ],
)
def test_topics(topics: tuple[str, ...], topic: str, heard: bool) -> None:
    """All, a family, or a type; what the contract does not promise is told to nobody."""
    hook = rules.Webhook(HOOK, 0, "https://example.com", topics, "", "active", None, NOW, NOW, None)
    assert hook.hears(topic) is heard
    assert {"booking.*", "payment.*"} == rules.FAMILIES


def test_the_schedule_takes_days_and_ends() -> None:
    """Ten tries over about three days, each wait longer than the one before; then none."""
    waits = [rules.next_delay_s(n, BUSY, 0.5) for n in range(1, len(rules.DELAYS_S) + 2)]
    assert waits[-1] is None
    real = [wait for wait in waits if wait is not None]
    assert real == sorted(real) == list(rules.DELAYS_S)
    assert timedelta(days=3) < timedelta(seconds=sum(real)) < rules.FAILING_FOR


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_jitter_and_a_wish_to_wait(jitter: float) -> None:
    """Tries are spread by a tenth; Retry-After makes a wait longer, never shorter, and never longer than a day."""
    plain = rules.next_delay_s(2, BUSY, jitter)
    assert plain is not None
    assert 270 <= plain <= 330
    assert rules.next_delay_s(2, Outcome(429, retry_after_s=5.0), jitter) == plain
    assert rules.next_delay_s(2, Outcome(429, retry_after_s=4000.0), jitter) == 4000.0
    assert rules.next_delay_s(2, Outcome(429, retry_after_s=1e9), jitter) == rules.LONGEST_WAIT_S


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 408, 409, 418, 425, 429, 500, 502, 504])
def test_everything_but_2xx_and_410_is_tried_again(status: int) -> None:
    """As the specification says: a receiver that misbehaves today may be mended tomorrow."""
    outcome = Outcome(status)
    assert not outcome.good
    assert not outcome.gone
    assert rules.next_delay_s(1, outcome, 0.5) is not None


def test_what_is_not_tried_again() -> None:
    """2xx is done, 410 is the end, and an address that may not be reached stays so."""
    assert Outcome(204).good
    assert Outcome(410).gone
    assert rules.next_delay_s(1, Outcome(410), 0.5) is None
    assert rules.next_delay_s(1, Outcome(None, "private_address", hopeless=True), 0.5) is None
    assert rules.next_delay_s(1, Outcome(None, "timeout"), 0.5) is not None


def test_days_of_failing() -> None:
    """Five days, from the first failure."""
    assert not rules.fails_too_long(None, NOW)
    assert not rules.fails_too_long(NOW - timedelta(days=4), NOW)
    assert rules.fails_too_long(NOW - timedelta(days=5, seconds=1), NOW)


def test_each_secret_signs_for_the_library() -> None:
    """The headers verify with each of the secrets, in the specification's own library."""
    secrets, body, now = [new_secret(), new_secret()], '{"né": 1}'.encode(), datetime.now(UTC)
    headers = signed_headers(secrets, HOOK, now, body)
    assert headers["webhook-id"] == str(HOOK)
    for secret in secrets:
        assert Webhook(secret).verify(body, headers) == {"né": 1}


def test_a_box_is_of_one_key_and_one_webhook() -> None:
    """Every box is another; under another key, for another webhook or with a byte changed it does not open."""
    secret, key = new_secret(), b"k" * 32
    box = seal(key, HOOK, secret)
    assert unseal(key, HOOK, box) == secret
    assert seal(key, HOOK, secret) != box
    assert unseal(b"x" * 32, HOOK, box) is None
    assert unseal(key, UUID(int=8), box) is None
    assert unseal(key, HOOK, box[:-1] + bytes([box[-1] ^ 1])) is None
