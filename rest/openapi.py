"""The OpenAPI 3.1 document, made from the declarations that are served and the models that validate.

What is not served is not in it, and what is served is: there is no second list.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from domain.refusals import CODES
from rest.idempotency import HEADER
from rest.models import Nothing, Query, Raw
from rest.problem import CONTENT_TYPE
from rest.registry import Route
from rest.webhook_messages import MESSAGES, SIGNED

type Json = dict[str, Any]

REF = "#/components/schemas/{model}"
VERSION = "1"
DESCRIPTION = """\
Live dispatch for home visits: bookings that hold, positions that are honest, and a licence shown before the door opens.

Times are RFC 3339 in UTC, ids are UUIDv7, money is integer minor units with a currency, coordinates are WGS 84 degrees.
Errors are RFC 9457 problems with a stable `code`. Checks come in this order: 401, 403, 404, 422, idempotency, 412, 409.
What changes is told over Socket.IO: see `/asyncapi.json`.
"""

PROBLEM: Json = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` never changes its meaning; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "correlation_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "correlation_id": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": REF.format(model="FieldError")}},
    },
    "examples": [
        {
            "type": "/docs#problem-booking_state",
            "title": CODES["booking_state"].title,
            "status": 409,
            "detail": "A completed booking cannot be cancelled.",
            "code": "booking_state",
            "correlation_id": "019a8f3c1f7e4d6d9d0c5a7b2e4f6a81",
        }
    ],
}
FIELD_ERROR: Json = {
    "type": "object",
    "title": "FieldError",
    "description": "One wrong field: an RFC 6901 pointer into the body, or `query/name`, or `header/name`.",
    "required": ["pointer", "code", "detail"],
    "properties": {
        "pointer": {"type": "string", "examples": ["/address/lat"]},
        "code": {"type": "string", "examples": ["out_of_range"]},
        "detail": {"type": "string"},
    },
}
CORRELATION: Json = {
    "name": "X-Correlation-ID",
    "in": "header",
    "description": "The story that this request belongs to; answered, and carried to all that it causes.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"},
}
KEY: Json = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "A fresh value for each intent; the same for each try of it. Kept for 24 h.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that this request relies on.",
    "schema": {"type": "string"},
}


def document(routes: Iterable[Route], release: str) -> Json:
    """Return the OpenAPI 3.1 document of these operations."""
    routes = list(routes)
    schemas, refs = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Doorstep",
            "version": release,
            "summary": "The wire contract, version 1",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "webhooks": {name: {"post": _message(name, model, refs)} for name, model in MESSAGES.items()},
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM, "FieldError": FIELD_ERROR},
            "parameters": {"Correlation": CORRELATION, "IdempotencyKey": KEY, "IfMatch": IF_MATCH},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of POST /v1/auth/token.",
                }
            },
        },
    }


def _schemas(routes: list[Route]) -> tuple[dict[str, Json], Mapping[Any, Json]]:
    wanted: dict[tuple[type[BaseModel], str], None] = {
        (model, "validation"): None for model in MESSAGES.values()
    }
    for route in routes:
        if route.body not in (Nothing, Raw):
            wanted[route.body, "validation"] = None
        if route.answer is not None:
            wanted[route.answer, "validation"] = None
    refs, definitions = models_json_schema(list(wanted), ref_template=REF)  # type: ignore[arg-type]  # the stub wants a narrower tuple
    named: dict[str, Json] = dict(definitions.get("$defs", {}))
    for route in routes:
        named.update(route.query.model_json_schema(ref_template=REF).get("$defs", {}))
    return named, refs


def _message(name: str, model: type[BaseModel], refs: Mapping[Any, Json]) -> Json:
    """Describe a post that we make to a webhook."""
    return {
        "operationId": f"webhook_{name.replace('.', '_')}",
        "tags": ["Webhooks"],
        "summary": _words(model).rstrip("."),
        "description": "Signed by the Standard Webhooks specification; at least once, in no promised order.",
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": words,
                "schema": {"type": "string"},
            }
            for header, words in SIGNED.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": refs[model, "validation"]}},
        },
        "responses": {
            "2XX": {"description": "It has arrived"},
            "410": {"description": "Nothing is to be sent any more"},
            "default": {"description": "It is sent again later"},
        },
        "security": [],
    }


def _operation(route: Route, refs: Mapping[Any, Json]) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, refs),
        "security": [] if route.open else [{"bearer": []}],
    }
    if route.description:
        operation["description"] = route.description
    if not route.open:
        operation["x-roles"] = sorted(route.roles)
    if route.body is Raw:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    elif route.body is not Nothing and route.method != "GET":
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": refs[route.body, "validation"]}},
        }
    return operation


def operation_id(route: Route) -> str:
    """Return a name that is unique and stays: method and path in words."""
    words = route.path.removeprefix("/v1").strip("/").replace("{", "by_").replace("}", "")
    return f"{route.method.lower()}_{words}".replace("/", "_").replace("-", "_").replace(".", "_")


def _parameters(route: Route) -> list[Json]:
    found: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"},
        }
        for name in route.variables
    ]
    if route.query is not Query:
        schema = route.query.model_json_schema(ref_template=REF)
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            parameter: Json = {"name": name, "in": "query", "schema": _without_null(field)}
            if "description" in field:
                parameter["description"] = field["description"]
            if name in required:
                parameter["required"] = True
            found.append(parameter)
    found.append({"$ref": "#/components/parameters/Correlation"})
    if route.key:
        found.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if "version_conflict" in route.refusals:
        found.append({"$ref": "#/components/parameters/IfMatch"})
    return found


def _without_null(field: Json) -> Json:
    """A query parameter is there or not: null is no value of it."""
    schema = {key: value for key, value in field.items() if key not in ("title", "description")}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        del schema["anyOf"]
        if schema.get("default", ...) is None:
            del schema["default"]
        schema.update(options[0])
    return schema


def codes_of(route: Route) -> list[str]:
    """Return every code that this operation may answer."""
    codes = list(route.refusals)
    if not route.open:
        codes += ["unauthenticated", "token_expired", "token_revoked"]
        if route.roles != frozenset():
            codes.append("forbidden")
    if route.variables:
        codes.append("not_found")
    if route.key:
        codes += ["idempotency_key_required", "idempotency_key_reused", "idempotency_in_progress"]
    if route.body is not Nothing:
        codes += ["too_large", "unsupported_media_type"]
    return [*dict.fromkeys([*codes, "validation", "rate_limited", "not_ready", "internal"])]


def _responses(route: Route, refs: Mapping[Any, Json]) -> Json:
    headers: Json = {"X-Correlation-ID": {"schema": {"type": "string"}}}
    if route.key:
        headers["Idempotency-Replayed"] = {
            "description": "`true` when an earlier answer is repeated",
            "schema": {"type": "string"},
        }
    if route.answer is not None and "version" in route.answer.model_fields:
        headers["ETag"] = {"schema": {"type": "string"}}
    good: Json = {"description": "Done" if route.answer is None else _words(route.answer), "headers": headers}
    if route.answer is not None:
        good["content"] = {"application/json": {"schema": refs[route.answer, "validation"]}}
    responses: Json = {str(status): good for status in (route.status, *route.also)}
    by_status: dict[int, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(CODES[code].status, []).append(code)
    for status in sorted(by_status):
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in by_status[status]),
            "content": {CONTENT_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
        }
    return responses


def _words(model: type[BaseModel]) -> str:
    return (model.__doc__ or model.__name__).strip().partition("\n")[0]
