"""What clients say and hear on the sockets: frozen models that validate, and from which AsyncAPI is made.

An envelope with an unknown field or a wrong type is refused whole. A single fix that cannot be read is refused by its
number, so that one bad reading never costs a phone its buffer; fields of a fix that we do not know are ignored.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.booking_events import HAPPENED
from services.feed import NOT_ON_THE_WIRE

EVENT_TYPES = tuple(happened.type for happened in HAPPENED if happened.type not in NOT_ON_THE_WIRE)
MAX_FIXES = 500
MAX_T_MS = 4_102_444_800_000  # the year 2100: what lies beyond is no time of a phone

type Latitude = Annotated[float, Field(ge=-90, le=90)]
type Longitude = Annotated[float, Field(ge=-180, le=180)]
type Milliseconds = Annotated[int, Field(ge=0, description="ms since the epoch")]


class Message(BaseModel):
    """Something a client says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(BaseModel):
    """Something the server says; fields may be added."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Nothing(Message):
    """No fields."""


class Renew(Message):
    """A fresh access token of the same person, before the old one runs out."""

    token: str = Field(max_length=4096)


class SetPresence(Message):
    """A technician's word; the place is reduced to a cell of about 1 km."""

    state: Literal["available", "busy", "offline"]
    lat: Latitude | None = None
    lon: Longitude | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "SetPresence":
        if (self.lat is None) != (self.lon is None):
            raise ValueError("lat and lon go together")
        return self


class WatchPresence(Message):
    """Watch the technicians of an area, or of all areas that the dispatcher serves."""

    area_id: UUID | None = None


class Sync(Message):
    """Catch up from a cursor; `null` starts at the present."""

    cursor: str | None = Field(max_length=512)


class FixItem(BaseModel):
    """One reading of a phone. `seq` counts from 1 for each session and device."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int = Field(ge=0, lt=1 << 53, strict=True)
    t: int = Field(gt=0, lt=MAX_T_MS, strict=True, description="ms since the epoch, by the phone's clock")
    lat: Latitude
    lon: Longitude
    acc_m: float | None = Field(default=None, ge=0, le=1e9)
    spd_mps: float | None = Field(default=None, ge=-1e6, le=1e6)
    hdg_deg: float | None = Field(default=None, ge=-1e6, le=1e6)
    battery: float | None = Field(default=None, ge=0, le=1)


class Fixes(Message):
    """Fixes of one session, live or from the phone's buffer, in any order."""

    session_id: UUID
    device_id: str | None = Field(default=None, min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$")
    fixes: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_FIXES,
        json_schema_extra={"items": {"$ref": "#/components/schemas/FixItem"}},
    )


class Watch(Message):
    """Watch the arrival of one's own booking; the holder of a share link sends no field."""

    booking_id: UUID | None = None


class WatchMap(Message):
    """Watch all legs in a box (`[west, south, east, north]`), or everywhere."""

    bbox: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "WatchMap":
        if (self.bbox is None) == (self.all is None):
            raise ValueError("send either bbox or all")
        if self.bbox is not None:
            w, s, e, n = self.bbox
            if not (-180 <= w <= 180 and -180 <= e <= 180 and -90 <= s <= n <= 90):
                raise ValueError("bbox is [west, south, east, north] in degrees")
        return self


class Problem(Said):
    """Why something was refused; the codes are those of the HTTP problems."""

    code: str
    title: str
    detail: str
    correlation_id: str


class Refused(Said):
    """The answer to a message that was refused."""

    ok: Literal[False]
    error: Problem


class Renewed(Said):
    """Until when the socket may stay."""

    ok: Literal[True]
    expires_at: str


class PresenceSet(Said):
    """The effective state, and until when it holds unless the device stays connected."""

    ok: Literal[True]
    state: Literal["available", "busy", "offline"]
    expires_at: str


class TechnicianStanding(Said):
    """One technician of a dispatcher's list."""

    technician_id: str
    state: Literal["available", "busy", "offline"]
    since: str | None
    last_seen: str | None


class PresenceWatched(Said):
    """All technicians of the area."""

    ok: Literal[True]
    technicians: list[TechnicianStanding]


class PresenceChanged(Said):
    """A technician counts as something else now."""

    technician_id: str
    state: Literal["available", "busy", "offline"]
    at: str


class Event(Said):
    """Something that happened to a booking. Delivered at least once: drop what you have by `event_id`."""

    cursor: str
    event_id: str
    booking_id: str
    seq: int
    type: str = Field(
        examples=list(EVENT_TYPES), description="One of the examples; later versions add others"
    )
    at: str
    correlation_id: str
    booking: dict[str, Any]
    data: dict[str, Any]


class Alert(Said):
    """Something needs a dispatcher, or no longer does. What was cleared and is raised again is another alert.

    It is not in `sync`: after connecting, read `GET /v1/alerts`.
    """

    alert_id: str
    kind: Literal[
        "late_to_start",
        "predicted_late",
        "stopped",
        "silent",
        "off_route",
        "overrun",
        "credential_expiring",
        "unanswered",
    ]
    booking_id: str | None
    state: Literal["raised", "cleared", "acknowledged"]
    at: str
    data: dict[str, Any]


class Synced(Said):
    """What was missed. Call again while `more`; live events start once it is false."""

    ok: Literal[True]
    events: list[Event]
    cursor: str
    more: bool


class RejectedFix(Said):
    """A fix that does not count, and why."""

    seq: int
    reason: Literal[
        "teleport",
        "inaccurate",
        "future",
        "before_session",
        "after_session",
        "session_closed",
        "superseded",
        "invalid",
    ]


class FixCounts(Said):
    """What became of the fixes of one message."""

    live: int
    late: int
    duplicate: int
    rejected: int


class FixAck(Said):
    """What was handled, what may be forgotten (`durable_seq`), and how often to send."""

    ok: Literal[True]
    acked_seq: int
    durable_seq: int
    counts: FixCounts
    rejected: list[RejectedFix]
    next_interval_s: int
    min_move_m: int


class Superseded(Said):
    """Another device took the session over: stop sending."""

    session_id: str


class Eta(Said):
    """When the technician will be there: the likely time, and a range that holds four times in five."""

    at: str
    low: str
    high: str
    method: str


class Position(Said):
    """Where the technician is, as exactly as the watcher may know. Drop an `n` that is not greater than your last."""

    booking_id: str
    session_id: str
    n: int
    t: Milliseconds
    age_s: float
    lat: float | None
    lon: float | None
    acc_m: float | None
    hdg_deg: float | None
    spd_mps: float | None
    precision: Literal["exact", "area", "hidden"]
    freshness: Literal["live", "delayed", "lost"]
    phase: Literal["en_route", "near"]
    remaining_m: float | None
    eta: Eta | None


class Watched(Said):
    """How an arrival stands."""

    ok: Literal[True]
    phase: Literal["waiting", "en_route", "near", "arrived"]
    position: Position | None
    freshness: Literal["live", "delayed", "lost"] | None


class Ended(Said):
    """Nothing more will be said of this leg: `arrived`, `reassigned`, `cancelled`, ..."""

    booking_id: str
    reason: str


class MapWatched(Said):
    """All legs in the viewport; frames follow with `n` growing by one."""

    ok: Literal[True]
    columns: list[str]
    rows: list[list[Any]]
    t: Milliseconds
    n: int


class Frame(Said):
    """What moved and what is gone since the last frame; at most four a second. A gap in `n`: call `watch_map` again."""

    t: Milliseconds
    n: int
    moved: list[list[Any]]
    gone: list[str]


class Done(Said):
    """It is done."""

    ok: Literal[True]


class Closing(Said):
    """The server is about to end this socket: `token_expired`, `token_revoked`, `restart`, `slow`, `ended`, ..."""

    reason: str
    retry_after_ms: int | None = None
    error: Problem | None = None
