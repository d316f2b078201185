"""How the pages' door answers: caches, compression, policies, and one clear sentence when nothing was built."""

import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

import pages.routes

BASEMAP = {"type": "FeatureCollection", "bbox": [-1, 50, 1, 52], "features": []}
IDENTITY = {"Accept-Encoding": "identity"}


async def docs(_request: web.Request) -> web.Response:
    """Stand for a page of another door."""
    return web.Response()


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[web.Request, web.Application]:
    """A server of nothing but the pages; bodies stay as they came over the wire."""
    basemap = tmp_path / "basemap.geojson"
    basemap.write_text(json.dumps(BASEMAP))
    app = web.Application()
    app.router.add_get("/docs", docs)
    pages.routes.setup(
        app, demo=False, tiles_url="https://tiles.example/{z}/{x}/{y}.png", basemap_path=basemap
    )
    return await aiohttp_client(app, auto_decompress=False)


@pytest.mark.parametrize("path", ["/", "/dispatch", "/track/some-token", "/book", "/technician", "/system"])
async def test_shell_is_strict_and_revalidated(
    client: TestClient[web.Request, web.Application], path: str
) -> None:
    """A shell lets nothing inline run, tells nobody where it was, and costs a 304 the second time."""
    answer = await client.get(path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "https://tiles.example" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "geolocation=(self)" in answer.headers["Permissions-Policy"]
    text = await (await client.get(path, headers=IDENTITY)).text()
    assert "<script>" not in text
    assert " style=" not in text
    again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize("encoding", ["br", "gzip"])
async def test_assets_are_compressed_and_kept_for_ever(
    client: TestClient[web.Request, web.Application], encoding: str
) -> None:
    """A hashed asset comes in the encoding that was asked for, smaller, and is never asked for again."""
    shell = await (await client.get("/dispatch", headers=IDENTITY)).text()
    script = shell.split('src="')[1].split('"')[0]
    plain = await client.get(script, headers=IDENTITY)
    packed = await client.get(script, headers={"Accept-Encoding": encoding})
    assert "immutable" in plain.headers["Cache-Control"]
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == encoding
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2


async def test_unknown_asset(client: TestClient[web.Request, web.Application]) -> None:
    """An asset that was not built, or that reaches out of the folder, is not found."""
    assert (await client.get("/pages/assets/door-00000000.js")).status == 404
    assert (await client.get("/pages/assets/..%2fmanifest.json")).status == 404


async def test_config_says_what_is_here(client: TestClient[web.Request, web.Application]) -> None:
    """Outside a demo no account is named; paths that this server has are."""
    config = await (await client.get("/pages/config.json")).json()
    assert config["demo"] is False
    assert "accounts" not in config
    assert config["paths"] == ["/docs", "/system"]
    assert config["bounds"] == BASEMAP["bbox"]
    basemap = await client.get(config["basemap_url"], headers=IDENTITY)
    assert await basemap.json(content_type="application/geo+json") == BASEMAP
    assert "immutable" in basemap.headers["Cache-Control"]


async def test_pages_that_were_never_built(
    aiohttp_client: AiohttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a build each page is one sentence that says how to build."""
    monkeypatch.setattr(pages.routes, "__file__", str(tmp_path / "routes.py"))
    app = web.Application()
    pages.routes.setup(app, demo=True, tiles_url=None, basemap_path=tmp_path / "none.geojson")
    client = await aiohttp_client(app)
    answer = await client.get("/dispatch")
    assert answer.status == 503
    assert "make pages" in await answer.text()
