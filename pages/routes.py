"""The pages' door: shells, hashed assets, the basemap and a few facts about this server.

Everything is read into memory once, at set-up, with its compressed forms and its ETag, so that serving a page never
touches the disk. No page is rendered here: the build has written the shells, and what differs between two servers is
in `/pages/config.json`.
"""

import json
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from pages.assets import Asset, MissingPages, read_basemap, read_built
from pages.security import headers_for

PAGES = {
    "/": "door",
    "/dispatch": "dispatch",
    "/track/{token}": "track",
    "/book": "book",
    "/technician": "technician",
    "/system": "system",
}

# What a page may link to or ask for, if this server has it: pages of later releases appear on the door by themselves.
OPTIONAL_PATHS = (
    "/docs",
    "/founder",
    "/support",
    "/system",
    "/v1/alerts",
    "/v1/alerts/{alert_id}/acknowledge",
    "/v1/dispatch/active",
    "/v1/technicians/{technician_id}/credentials",
    "/v1/geocode",
)

DEMO_PASSWORD = "doorstep-demo"  # noqa: S105 - published in the README; these accounts exist in the demo only
DEMO_ROLES = ("customer", "technician", "dispatcher", "support", "finance", "founder")

FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
ENCODINGS = ("br", "gzip")


def setup(app: web.Application, *, demo: bool, tiles_url: str | None, basemap_path: Path) -> None:
    """Adds the pages to `app`.

    `tiles_url` is a raster template (`https://host/{z}/{x}/{y}.png`) or None for the basemap at `basemap_path`.
    When the pages were never built, every page answers 503 with the sentence that says how.
    """
    try:
        built = read_built(Path(__file__).parent / "dist")
    except MissingPages as missing:
        _serve_sentence(app, str(missing))
        return
    basemap = read_basemap(basemap_path)
    security = headers_for(_origin(tiles_url))
    shells = {page: built.shells[page] for page in PAGES.values()}
    config: dict[str, object] = {
        "demo": demo,
        "tiles_url": tiles_url,
        "basemap_url": f"/pages/assets/{basemap.name}" if basemap else None,
        "bounds": basemap.bounds if basemap else None,
    }
    if demo:
        config["accounts"] = [
            {"role": role, "email": f"{role}@demo.doorstep.example", "password": DEMO_PASSWORD}
            for role in DEMO_ROLES
        ]
    assets = {**built.assets, **({basemap.name: basemap.asset} if basemap else {})}

    async def page(request: web.Request) -> web.Response:
        route = request.match_info.route.resource
        shell = shells[PAGES[route.canonical if route else "/"]]
        return _answer(request, shell, {**security, "Cache-Control": REVALIDATE})

    async def asset(request: web.Request) -> web.Response:
        found = assets.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        # The map's worker fetches under the policy that its own script came with.
        return _answer(request, found, {**security, "Cache-Control": FOREVER})

    async def facts(request: web.Request) -> web.Response:
        body = json.dumps({**config, "paths": sorted(_registered(app))}).encode()
        return _answer(request, Asset.of(body, "application/json"), {**security, "Cache-Control": REVALIDATE})

    async def icon(request: web.Request) -> web.Response:
        return _answer(request, built.icon, {"Cache-Control": "public, max-age=86400"})

    for path in PAGES:
        app.router.add_get(path, page)
    app.router.add_get("/pages/assets/{name}", asset)
    app.router.add_get("/pages/config.json", facts)
    app.router.add_get("/favicon.ico", icon)


def _answer(request: web.Request, asset: Asset, headers: dict[str, str]) -> web.Response:
    headers = {**headers, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    accepted = request.headers.get("Accept-Encoding", "")
    for encoding in ENCODINGS:
        if encoding in asset.encoded and encoding in accepted:
            headers["Content-Encoding"] = encoding
            return web.Response(
                body=asset.encoded[encoding], content_type=asset.content_type, headers=headers
            )
    return web.Response(body=asset.body, content_type=asset.content_type, headers=headers)


def _serve_sentence(app: web.Application, sentence: str) -> None:
    async def missing(_request: web.Request) -> web.Response:
        return web.Response(status=503, text=sentence + "\n")

    for path in PAGES:
        app.router.add_get(path, missing)


def _registered(app: web.Application) -> set[str]:
    shapes = {_shape(resource.canonical) for resource in app.router.resources()}
    return {path for path in OPTIONAL_PATHS if _shape(path) in shapes}


def _shape(path: str) -> str:
    """A path with its parameters unnamed, since another door may call them otherwise."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _origin(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}"
