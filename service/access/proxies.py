"""Who a request comes from: the peer of the connection, or what proxies that we trust say of it.

``X-Forwarded-For`` and ``X-Forwarded-Proto`` are what anybody may write. They count only when the connection comes from
FACE_API_TRUSTED_PROXIES, and of the list of addresses only the part that such proxies wrote: it is read from its
right end up to the first address that is no proxy of ours.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, Self

from service.errors import SettingsError
from service.ranges import shorten

__all__ = ["Origin", "TrustedProxies"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What a proxy may write for one hop: an address, a port behind it, brackets around one of version 6.
_HOP: Final = re.compile(
    r"(?P<v4>[0-9.]{7,15})(?::[0-9]{1,5})?|\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?"
    r"|(?P<v6>[0-9A-Fa-f:.]{2,45})"
)
_MAPPED_PREFIX: Final = 96


class Origin(NamedTuple):
    """Where a request comes from.

    Attributes:
        address: The client's address in its usual spelling; addresses of version 4 within version 6 as version 4.
        scheme: ``http`` or ``https``, as the client spoke it.
    """

    address: str
    scheme: str


class TrustedProxies:
    """The addresses whose word counts."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        """Trust `networks`."""
        self._networks = tuple(networks)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read FACE_API_TRUSTED_PROXIES.

        Args:
            text: Addresses and networks (``10.0.0.0/8``), separated by commas; empty trusts nobody.

        Raises:
            SettingsError: An entry is neither, has bits beside its prefix, or covers every address.
        """
        return cls(_network(entry.strip()) for entry in text.split(",") if entry.strip())

    def origin(self, peer: str | None, scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> Origin:
        """Tell where a request comes from.

        Args:
            peer: The other end of the connection; None where the server does not know it.
            scheme: The scheme of the connection.
            headers: The request's headers as ASGI gives them, names in lower case, repeated ones in order.
        """
        address = _address((peer or "").partition("%")[0])
        if address is None:
            return Origin(peer or "unknown", scheme)
        if not self._networks or not self._trusts(address):
            return Origin(str(address), scheme)
        hops: list[bytes] = []
        protocols: list[bytes] = []
        for name, value in headers:
            if name == b"x-forwarded-for":
                hops += value.split(b",")
            elif name == b"x-forwarded-proto":
                protocols += value.split(b",")
        return Origin(str(self._client(address, hops)), _scheme(protocols) or scheme)

    def _client(self, nearest: Address, hops: list[bytes]) -> Address:
        # A hop that cannot be read ends the walk: what stands left of it may be the client's own invention.
        for hop in reversed(hops):
            address = _hop(hop.strip(b" \t").decode("latin-1"))
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return nearest

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _hop(text: str) -> Address | None:
    match = _HOP.fullmatch(text)
    return _address(match["v4"] or match["bracketed"] or match["v6"]) if match else None


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _scheme(values: list[bytes]) -> str | None:
    # The right-most one is from the proxy next to us; those before it may be anybody's.
    last = values[-1].strip(b" \t").lower() if values else b""
    return last.decode() if last in {b"http", b"https"} else None


def _network(text: str) -> Network:
    def wrong(reason: str) -> SettingsError:
        return SettingsError(f"FACE_API_TRUSTED_PROXIES: '{shorten(text)}' {reason}")

    if "%" in text:
        raise wrong("has a zone: expected an address or a network")
    try:
        network = ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise wrong(
                "is neither an address nor a network: expected entries such as 10.0.0.1 or 10.0.0.0/8, "
                "separated by commas"
            ) from None
        raise wrong(f"has bits beside its prefix; did you mean {meant}?") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= _MAPPED_PREFIX:
        network = IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))
    if network.prefixlen == 0:
        raise wrong("covers every address, so that any client could choose its own: name your proxies")
    return network
