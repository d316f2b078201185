"""What the HTTP door keeps on the web application, under typed keys."""

from aiohttp import web

from services.stores import Stores

STORES: web.AppKey[Stores] = web.AppKey("doorstep_stores", Stores)
CORRELATION_ID: web.RequestKey[str] = web.RequestKey("doorstep_correlation_id", str)
