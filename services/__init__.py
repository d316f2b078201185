"""One file a capability; one function, one use case, one transaction. No aiohttp and no Socket.IO here."""
