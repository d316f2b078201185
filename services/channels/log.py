"""The log channel: what would have been said goes into the operational log, by its name alone. Nothing leaves."""

from datetime import datetime

import structlog

from domain.notifying import LOG
from services.channels.channel import Channels, Letter, Sent, To

log = structlog.get_logger(__name__)


class LogChannel:
    """The channel of a house that has no other."""

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:  # noqa: ARG002 - the Protocol
        """Log which notification it was; neither whose nor its words."""
        log.info("notification", template=letter.template, notification_id=str(letter.notification_id))
        return Sent("logged", ok=True)


def only_log() -> Channels:
    """Return the channels of a house that has set up none."""
    return Channels({LOG: LogChannel()})
