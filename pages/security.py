"""What a browser may do on our pages: our own origin, our own scripts, nothing inline, nobody's frame.

No referrer is ever sent: the address of `/track/{token}` is itself a secret.
"""


def headers_for(tiles_origin: str | None) -> dict[str, str]:
    """Security headers of a page; `tiles_origin` (`https://host`) is the one foreign origin there can be."""
    tiles = f" {tiles_origin}" if tiles_origin else ""
    policy = {
        "default-src": "'self'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob:{tiles}",
        "connect-src": f"'self'{tiles}",
        "worker-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), payment=()",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
