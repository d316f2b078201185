"""What a use case may reach: one frozen bundle, opened by `app.wiring` and passed on; never the web application."""

from dataclasses import dataclass, field

from services.channels.channel import Channels
from services.channels.log import only_log
from services.passwords import Passwords
from services.payment_gateway import PaymentGateway
from services.policy import Policy
from services.posting import NoPoster, Poster
from services.routing import Router
from services.vitals import Vitals
from storage.db import Database
from storage.hot import HotState
from storage.listen import Listener
from storage.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Stores:
    """PostgreSQL truth, hot state, telemetry, and the seams to what lies outside."""

    db: Database
    hot: HotState
    telemetry: Telemetry
    router: Router
    gateway: PaymentGateway
    policy: Policy
    secret_key: bytes = field(repr=False)
    passwords: Passwords = field(default_factory=Passwords)
    listener: Listener = field(default_factory=Listener)
    vitals: Vitals = field(default_factory=Vitals)
    poster: Poster = field(default_factory=NoPoster)
    reports: Database | None = None  # wears the role that sees metrics alone
    channels: Channels = field(default_factory=only_log)
