"""The AsyncAPI 3 document, made from the models that validate: what clients say and hear, and the answers."""

from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from realtime import messages as m

VERSION = "3.0.0"


class Says(NamedTuple):
    """Something a client of these roles may say, and the good answer."""

    event: str
    message: type[BaseModel]
    answer: type[BaseModel]
    by: str


class Hears(NamedTuple):
    """Something that the server sends."""

    event: str
    message: type[BaseModel]
    by: str


ANYBODY = "everybody on the namespace"
NAMESPACES: dict[str, tuple[tuple[Says, ...], tuple[Hears, ...]]] = {
    "/presence": (
        (
            Says("set", m.SetPresence, m.PresenceSet, "technician"),
            Says("watch", m.WatchPresence, m.PresenceWatched, "dispatcher"),
            Says("unwatch", m.Nothing, m.Done, "dispatcher"),
        ),
        (Hears("changed", m.PresenceChanged, "dispatcher"),),
    ),
    "/bookings": (
        (Says("sync", m.Sync, m.Synced, ANYBODY),),
        (Hears("event", m.Event, ANYBODY), Hears("alert", m.Alert, "dispatcher")),
    ),
    "/gps": (
        (
            Says("fix", m.Fixes, m.FixAck, "technician"),
            Says("watch", m.Watch, m.Watched, "customer, share link"),
            Says("unwatch", m.Watch, m.Done, "customer, share link"),
            Says("watch_map", m.WatchMap, m.MapWatched, "dispatcher"),
            Says("unwatch_map", m.Nothing, m.Done, "dispatcher"),
        ),
        (
            Hears("superseded", m.Superseded, "technician"),
            Hears("position", m.Position, "customer, share link"),
            Hears("ended", m.Ended, "customer, share link"),
            Hears("frame", m.Frame, "dispatcher"),
        ),
    ),
}
EVERYWHERE = Says("renew", m.Renew, m.Renewed, ANYBODY)
CLOSING = Hears("closing", m.Closing, ANYBODY)


@cache
def document() -> dict[str, Any]:
    """Return the document; it is the same for the life of the process."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    names: dict[str, dict[str, Any]] = {}
    for namespace, (said, heard) in NAMESPACES.items():
        channel = namespace.strip("/")
        in_channel: dict[str, Any] = {}
        for says in (*said, EVERYWHERE):
            for model in (says.message, says.answer, m.Refused):
                in_channel[model.__name__] = _message(names, model)
            operations[f"{channel}.{says.event}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{channel}"},
                "title": f"{says.event} ({says.by})",
                "summary": _summary(says.message),
                "messages": [_ref(channel, says.message)],
                "reply": {
                    "channel": {"$ref": f"#/channels/{channel}"},
                    "messages": [_ref(channel, says.answer), _ref(channel, m.Refused)],
                },
                "bindings": {"x-socket.io": {"event": says.event, "ack": True}},
            }
        for hears in (*heard, CLOSING):
            in_channel[hears.message.__name__] = _message(names, hears.message)
            operations[f"{channel}.on_{hears.event}"] = {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel}"},
                "title": f"{hears.event} ({hears.by})",
                "summary": _summary(hears.message),
                "messages": [_ref(channel, hears.message)],
                "bindings": {"x-socket.io": {"event": hears.event, "ack": False}},
            }
        channels[channel] = {
            "address": namespace,
            "title": f"The Socket.IO namespace {namespace}",
            "messages": in_channel,
        }
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Doorstep realtime",
            "version": "1",
            "description": "Socket.IO protocol 5 at /socket.io/. Connect with auth {token}, on /gps also {share}.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": names, "schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    models: set[type[BaseModel]] = {
        m.FixItem,
        m.Refused,
        EVERYWHERE.message,
        EVERYWHERE.answer,
        CLOSING.message,
    }
    for said, heard in NAMESPACES.values():
        models |= {model for says in said for model in (says.message, says.answer)}
        models |= {hears.message for hears in heard}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    found: dict[str, Any] = schema["$defs"]
    return found


def _message(names: dict[str, dict[str, Any]], model: type[BaseModel]) -> dict[str, str]:
    name = model.__name__
    names[name] = {
        "name": name,
        "summary": _summary(model),
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
    return {"$ref": f"#/components/messages/{name}"}


def _ref(channel: str, model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{model.__name__}"}


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())
