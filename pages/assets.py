"""Files of the built pages, held in memory with their compressed forms: an asset never changes while we run."""

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

CONTENT_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".geojson": "application/geo+json",
}
COMPRESSED = {"br": ".br", "gzip": ".gz"}


class MissingPages(Exception):
    """The bundler has not run; the message is the sentence for whoever asks for a page."""


@dataclass(frozen=True, slots=True)
class Asset:
    """Bytes, and the same bytes as `br` and `gzip`."""

    body: bytes
    content_type: str
    etag: str
    encoded: dict[str, bytes] = field(default_factory=dict)

    @staticmethod
    def of(body: bytes, content_type: str, encoded: dict[str, bytes] | None = None) -> "Asset":
        digest = hashlib.sha256(body).hexdigest()[:20]
        return Asset(body, content_type, f'W/"{digest}"', encoded or {})


@dataclass(frozen=True, slots=True)
class Built:
    """What the bundler made: `assets` by file name, `shells` by page."""

    assets: dict[str, Asset]
    shells: dict[str, Asset]
    icon: Asset


@dataclass(frozen=True, slots=True)
class Basemap:
    """The city's streets under a name that changes with their content; `bounds` is [w, s, e, n] or None."""

    name: str
    asset: Asset
    bounds: list[float] | None


def read_built(dist: Path) -> Built:
    """Everything under `dist`. Raises MissingPages when the pages were not built."""
    manifest_path = dist / "manifest.json"
    if not manifest_path.is_file():
        raise MissingPages(
            "The pages are not built yet: run `make pages` (or `npm ci && npm run build` in pages/), then start again."
        )
    manifest = json.loads(manifest_path.read_text())
    assets = {path.name: _read(path) for path in (dist / "assets").iterdir() if path.suffix in CONTENT_TYPES}
    shells = {page: _read(dist / f"{page}.html") for page in manifest["pages"]}
    return Built(assets, shells, assets[Path(manifest["icon"]).name])


def read_basemap(path: Path) -> Basemap | None:
    """The basemap, gzipped once; None when the file is not there (the map is then plain ground)."""
    if not path.is_file():
        return None
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    asset = Asset.of(body, CONTENT_TYPES[".geojson"], {"gzip": gzip.compress(body, 6, mtime=0)})
    return Basemap(f"basemap-{digest}.geojson", asset, json.loads(body).get("bbox"))


def _read(path: Path) -> Asset:
    encoded = {
        name: sibling.read_bytes()
        for name, suffix in COMPRESSED.items()
        if (sibling := path.with_name(path.name + suffix)).is_file()
    }
    return Asset.of(path.read_bytes(), CONTENT_TYPES[path.suffix], encoded)
