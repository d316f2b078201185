"""The documentation page: the OpenAPI document as plain HTML, without a script and without a request to anybody else.

`/openapi.json` is for programs, `/docs` for people; each code of a refusal has its own anchor, which the `type` of a
problem points to.
"""

import hashlib
from base64 import b64encode
from html import escape
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web

from domain.refusals import CODES

type Json = dict[str, Any]


class Docs:
    """The document and its page, made once at the start."""

    def __init__(self, document: Json) -> None:
        style = files("rest").joinpath("docs.css").read_text()
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._json = orjson.dumps(document)
        self._html = _page(document, style)
        self._etag = f'"{hashlib.sha256(self._json).hexdigest()[:16]}"'
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"
        )

    async def openapi(self, request: web.Request) -> web.Response:
        """Answer GET /openapi.json."""
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == self._etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._json, content_type="application/json", headers=headers)

    async def page(self, _request: web.Request) -> web.Response:
        """Answer GET /docs."""
        headers = {"Content-Security-Policy": self._policy, "Cache-Control": "no-cache"}
        return web.Response(text=self._html, content_type="text/html", headers=headers)


def _page(document: Json, style: str) -> str:
    schemas: Json = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    contents = "".join(
        f"<h2>{escape(tag)}</h2>"
        + "".join(f'<a href="#{op["operationId"]}">{escape(op["summary"])}</a>' for _, _, op in operations)
        for tag, operations in by_tag.items()
    )
    sections = "".join(
        f"<section><h2>{escape(tag)}</h2>{''.join(_operation(*o, schemas) for o in operations)}</section>"
        for tag, operations in by_tag.items()
    )
    codes = "".join(
        f'<tr id="problem-{code}"><td><code>{code}</code></td><td>{known.status}</td>'
        f"<td>{escape(known.title)}</td></tr>"
        for code, known in sorted(CODES.items())
    )
    about = "".join(
        f"<p>{_inline(part)}</p>" for part in document["info"]["description"].strip().split("\n\n")
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Doorstep: the HTTP interface</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>'
        f'<div class="page"><nav><a href="/">Doorstep</a><a href="/openapi.json">openapi.json</a>{contents}'
        '<h2>More</h2><a href="#problems">Codes of refusals</a><a href="#shapes">Shapes</a></nav>'
        f'<main><h1>The HTTP interface</h1><p class="who">Version {escape(document["info"]["version"])}</p>{about}'
        f'{sections}<section><h2 id="problems">Codes of refusals</h2>'
        f"<table><tr><th>code</th><th>status</th><th>title</th></tr>{codes}</table></section>"
        f'<section><h2 id="shapes">Shapes</h2>{"".join(_shape(n, s) for n, s in sorted(schemas.items()))}</section>'
        "</main></div></body></html>"
    )


def _operation(method: str, path: str, operation: Json, schemas: Json) -> str:
    who = ", ".join(operation["x-roles"]) if "x-roles" in operation else "anybody"
    head = (
        f'<article id="{operation["operationId"]}"><h3><span class="verb">{method}</span>'
        f'<span class="path">{escape(path)}</span></h3><div>{escape(operation["summary"])}. '
        f'<span class="who">For {escape(who)}.</span></div>'
    )
    parts = [head]
    if "description" in operation:
        parts.append(f"<p>{_inline(operation['description'])}</p>")
    given = [p for p in operation["parameters"] if "$ref" not in p]
    named = [p["$ref"].rpartition("/")[2] for p in operation["parameters"] if "$ref" in p]
    if given:
        rows = "".join(_row(p["name"], p["schema"], p.get("description", p["in"])) for p in given)
        parts.append(f"<table><tr><th>parameter</th><th>type</th><th></th></tr>{rows}</table>")
    if "IdempotencyKey" in named:
        takes = "; takes <code>If-Match</code>" if "IfMatch" in named else ""
        parts.append(f'<p class="who">Needs <code>Idempotency-Key</code>{takes}.</p>')
    elif "IfMatch" in named:
        parts.append('<p class="who">Takes <code>If-Match</code>.</p>')
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        parts.append(f"<details><summary>Body</summary>{_fields(schemas[_name(body)])}</details>")
    answers = "".join(
        f"<tr><td>{status}</td><td>{_inline(answer['description'])}{_link(answer)}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    parts.append(f"<details><summary>Answers</summary><table>{answers}</table></details></article>")
    return "".join(parts)


def _link(answer: Json) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return f' <a href="#shape-{_name(schema)}">{escape(_name(schema))}</a>' if "$ref" in schema else ""


def _shape(name: str, schema: Json) -> str:
    about = escape(schema.get("description", ""))
    example = ""
    if schema.get("examples"):
        shown = orjson.dumps(schema["examples"][0], option=orjson.OPT_INDENT_2).decode()
        example = f"<pre>{escape(shown)}</pre>"
    return f'<article id="shape-{name}"><h3>{escape(name)}</h3><div>{about}</div>{_fields(schema)}{example}</article>'


def _fields(schema: Json) -> str:
    if "properties" not in schema:
        return f"<p><code>{escape(_type(schema))}</code></p>"
    required = schema.get("required", ())
    rows = "".join(
        _row(name if name in required else f"{name}?", field, field.get("description", ""))
        for name, field in schema["properties"].items()
    )
    return f"<table><tr><th>field</th><th>type</th><th></th></tr>{rows}</table>"


def _row(name: str, schema: Json, words: str) -> str:
    return (
        f"<tr><td><code>{escape(name)}</code></td><td>{_type_html(schema)}</td><td>{_inline(words)}</td></tr>"
    )


def _type_html(schema: Json) -> str:
    target = next(
        (s for s in (schema, *schema.get("anyOf", ()), schema.get("items", {})) if "$ref" in s), None
    )
    text = escape(_type(schema))
    return f'<a href="#shape-{_name(target)}">{text}</a>' if target else f"<code>{text}</code>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}))}]"
    words = str(schema.get("format") or schema.get("type") or "anything")
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    if low is not None or high is not None:
        words += f" {'' if low is None else low}…{'' if high is None else high}"
    return words


def _name(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _inline(text: str) -> str:
    """Escape, and set `code` between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
