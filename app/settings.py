"""Every setting of a serving process: `DOORSTEP_*` in the environment, parsed once, secrets masked wherever they print.

`doorstep serve --help` shows this list, so each field's description is its documentation.
"""

import re
from collections.abc import Iterator
from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.channels.sms import DEFAULT_BODY, BodyForm
from services.policy import Policy

PREFIX = "DOORSTEP_"
SHORTEST_KEY = 32
PORT = re.compile(r"^(\[[^\]]*\]|[^:\[\]]*)(:\d{0,5})?$", re.ASCII)  # a host, and a port or none


class SettingsError(Exception):
    """A setting that cannot be used; the message is one sentence for the person who set it."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise ValueError(
            f"give it at least {SHORTEST_KEY} characters, for example from `openssl rand -hex 32`"
        )
    return key


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        ip_network(word, strict=False)
    return words


def _address(*schemes: str) -> AfterValidator:
    """Check the form of a URL that may carry a password: no complaint repeats a piece of it."""
    forms = f"{schemes[0]}://user:password@host:port/…"

    def check(url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
        except ValueError:
            raise ValueError(f"it is no URL of the form {forms}") from None
        if parts.scheme not in schemes:
            raise ValueError(f"it is no URL of the form {forms}")
        hosts = parts.netloc.rpartition("@")[2]
        ports = [PORT.search(host) for host in hosts.split(",")]
        split = parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment
        if split or any(port is None for port in ports):
            raise ValueError(
                "its port is no number, or its password holds a bare / @ ? # or : "
                "(write them as %2F %40 %3F %23 %3A)"
            )
        return url

    return AfterValidator(check)


def _mailbox(text: str) -> str:
    name, address = parseaddr(text)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or not (name + address).isprintable():
        raise ValueError("it is no mail address")
    return text


def _sms_body(form: str) -> str:
    BodyForm(form)
    return form


def _lines(key: object) -> object:
    return key.replace("\\n", "\n") if isinstance(key, str) else key  # a PEM file on one line


def _vapid(key: SecretStr) -> SecretStr:
    from services.channels.web_push import VapidKey  # noqa: PLC0415 - slow to import, and --help is quick

    VapidKey(key.get_secret_value().encode())
    return key


type Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """What a process is told from outside."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path(".doorstep"), description="Where the embedded PostgreSQL and prepared streets live"
    )
    database_url: Annotated[SecretStr, _address("postgresql", "postgres")] | None = Field(
        None,
        description="postgresql://… of a login that is a member of the doorstep_* roles; unset: embedded",
    )
    migrate_url: Annotated[SecretStr, _address("postgresql", "postgres")] | None = Field(
        None, description="postgresql://… of the database's owner, for migrations; unset: the database URL"
    )
    redis_url: Annotated[SecretStr, _address("redis", "rediss")] | None = Field(
        None, description="redis://… for several processes; unset: hot state of one process"
    )
    secret_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None, description="Signs tokens and webhooks; 32 characters or more; required outside the demo"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    allowed_origins: Words = Field(
        (), description="Origins of browsers that may connect, beside our own; commas between"
    )
    trusted_proxies: Annotated[Words, AfterValidator(_networks)] = Field(
        (), description="Networks whose X-Forwarded-For is believed; commas between"
    )
    tiles_url: str | None = Field(
        None, description="Raster map tiles, https://…/{z}/{x}/{y}.png; unset: built-in basemap"
    )
    routing_dir: Path | None = Field(None, description="Prepared streets for routing; unset: straight lines")

    post_allow: Annotated[Words, AfterValidator(_networks)] = Field(
        (), description="Private networks that webhooks and messages may be posted to; commas between"
    )
    post_http: bool = Field(False, description="Post to http:// addresses as well; the demo does")

    smtp_url: Annotated[SecretStr, _address("smtp", "smtps", "smtp+plain")] | None = Field(
        None, description="Mail server: smtp:// (STARTTLS), smtps:// or smtp+plain://; unset: no mail"
    )
    smtp_sender: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        None, description="Whom mail is from: Name <address>; required with the mail server"
    )
    sms_url: Annotated[SecretStr, _address("https", "http")] | None = Field(
        None, description="Gateway that text messages are posted to; unset: none"
    )
    sms_body: Annotated[str, AfterValidator(_sms_body)] = Field(
        DEFAULT_BODY, description="Its body, JSON or a=b&c=d, with {to} and {text} and perhaps {id}"
    )
    sms_authorization: SecretStr | None = Field(
        None, description="The gateway's Authorization header, if it wants one"
    )
    web_push_contact: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        None, description="Mail address for push services to complain to; unset: no web push"
    )
    vapid_key: Annotated[SecretStr, BeforeValidator(_lines), AfterValidator(_vapid)] | None = Field(
        None, description="Web push's private key, PEM; unset: a file in the data directory"
    )

    access_token_ttl_s: int = Field(900, ge=10, le=86_400, description="Life of an access token")
    refresh_token_ttl_s: int = Field(
        2_592_000, ge=60, description="Life of a session without signing in again"
    )
    refresh_grace_s: int = Field(
        30, ge=0, le=300, description="How long a refresh token's successor is repeated"
    )
    requests_per_s: float = Field(20.0, gt=0, description="Steady requests of one caller, beyond a burst")
    requests_burst: int = Field(120, ge=1, description="Requests of one caller at once")
    sign_ins_per_minute: float = Field(20.0, gt=0, description="Steady sign-ins and refreshes of one address")
    sign_ins_burst: int = Field(40, ge=1, description="Sign-ins and refreshes of one address at once")
    database_pool: int = Field(
        10, ge=2, le=200, description="Connections to PostgreSQL, at most, for requests"
    )

    answer_within_s: int = Field(300, ge=10, description="How long a technician has to answer a request")
    presence_ttl_s: float = Field(30.0, ge=1, description="Presence that a dead server process leaves behind")
    presence_grace_s: float = Field(
        15.0, ge=0, description="How long a technician without a socket still counts"
    )
    raw_fix_retention_h: int = Field(72, ge=1, description="How long raw positions are kept")

    background: bool = Field(
        True, description="Deadlines, subscribers and jobs run in this process; off: another one runs them"
    )
    otlp_endpoint: Annotated[SecretStr, _address("http", "https")] | None = Field(
        None,
        description="OpenTelemetry collector that traces are sent to (OTLP over HTTP, as http://host:4318); "
        "OTEL_EXPORTER_OTLP_ENDPOINT is heard as well; unset: no traces",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The quietest line written"
    )
    check_answers: bool = Field(False, description="Check every answer against its model; for tests")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse half a channel."""
        if self.smtp_url is not None and self.smtp_sender is None:
            raise ValueError("DOORSTEP_SMTP_URL needs DOORSTEP_SMTP_SENDER")
        if self.web_push_contact is not None and self.vapid_key is None and self.database_url is not None:
            raise ValueError(
                "DOORSTEP_WEB_PUSH_CONTACT needs DOORSTEP_VAPID_KEY where the database is not embedded"
            )
        return self

    def policy(self) -> Policy:
        """Return the house rules with what the settings say otherwise."""
        return Policy(
            answer_within_s=self.answer_within_s,
            presence_ttl_s=self.presence_ttl_s,
            presence_grace_s=self.presence_grace_s,
            raw_fix_retention_h=self.raw_fix_retention_h,
            access_token_ttl_s=self.access_token_ttl_s,
            refresh_token_ttl_s=self.refresh_token_ttl_s,
            refresh_grace_s=self.refresh_grace_s,
        )


def load(**given: object) -> Settings:
    """Read the environment; what the command line gave (not None) wins. Raises SettingsError with one sentence."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "the settings"
        raise SettingsError(
            f"{name} cannot be used: {str(first['msg']).removeprefix('Value error, ')}."
        ) from None


def described() -> Iterator[tuple[str, str, str]]:
    """Iterate over (environment variable, default, description) of every setting, for `--help`."""
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None or field.default == () else str(field.default)
        yield PREFIX + name.upper(), default, field.description or ""
