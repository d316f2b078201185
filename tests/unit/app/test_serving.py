"""Which signals end a process."""

import signal

from app.serving import ends


def test_a_closed_terminal_ends_what_it_started_but_not_under_nohup() -> None:
    """`nohup` ignores SIGHUP before we start, and that stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert ends() == [signal.SIGTERM, signal.SIGHUP]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert ends() == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
