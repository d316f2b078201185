"""Who is at the other end of the connection, for limits only: never logged, never stored.

`X-Forwarded-For` is believed only from proxies that the settings name, from the right, so that a caller cannot choose
its own address. An IPv6 caller counts as its /64, which is what one household gets.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

type Network = IPv4Network | IPv6Network


def client_of(remote: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the caller's address in canonical form ("unknown" on a Unix socket without a proxy's word).

    `forwarded_for`: every header line of that name, in order; a proxy may add to the last one or send its own.
    """
    address = _parse(remote)
    if address is None and remote:
        return "unknown"
    if (address is None or _in(address, trusted)) and forwarded_for:
        for hop in reversed(",".join(forwarded_for).split(",")):
            parsed = _parse(hop)
            if parsed is None:
                break
            address = parsed
            if not _in(parsed, trusted):
                break
    return _household(address) if address is not None else "unknown"


def _parse(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address((text or "").strip().split("%", 1)[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _household(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)
