"""Who a request comes from: nobody chooses it who is no trusted proxy."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.proxies import Origin, TrustedProxies
from service.errors import SettingsError

PROXIES = TrustedProxies.parse("10.0.0.0/8, 192.168.1.1, fd00::/16, ::ffff:172.16.0.0/108")


def forwarded(*values: str, proto: tuple[str, ...] = ()) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return [(b"host", b"example.org"), *headers, *((b"x-forwarded-proto", value.encode()) for value in proto)]


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        # Not from a proxy of ours: what is forwarded does not count.
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("203.0.113.9", ["10.0.0.1"], "203.0.113.9"),
        ("192.168.1.2", ["1.2.3.4"], "192.168.1.2"),
        ("2001:db8::1", ["1.2.3.4"], "2001:db8::1"),
        # One proxy.
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.168.1.1", ["1.2.3.4"], "1.2.3.4"),
        # The client wrote a list of its own before the proxy added what it saw.
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.5, 9.9.9.9,1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["garbage, 1.2.3.4"], "1.2.3.4"),
        # Several proxies.
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4, 10.0.0.3, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4", "10.0.0.3", "192.168.1.1"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.7, 10.0.0.6"], "10.0.0.7"),
        # What cannot be read, and all that is left of it, does not count.
        ("10.0.0.1", ["garbage"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["9.9.9.9,"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.999"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, 01.2.3.4"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4/8"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, ²1.2.3.4"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9 1.2.3.4"], "10.0.0.1"),
        # Ports and brackets.
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:DB8::1]:5678"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8:0::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["[1.2.3.4]:5"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4:"], "10.0.0.1"),
        ("10.0.0.1", ["[::1"], "10.0.0.1"),
        # Version 4 within version 6.
        ("::ffff:10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("172.16.9.9", ["1.2.3.4"], "1.2.3.4"),
        ("fd00::7", ["2001:db8::2"], "2001:db8::2"),
        ("fe80::1%eth0", ["1.2.3.4"], "fe80::1"),
    ],
)
def test_client_address(peer: str, values: list[str], client: str) -> None:
    assert PROXIES.origin(peer, "http", forwarded(*values)).address == client


@pytest.mark.parametrize(
    ("peer", "values", "scheme"),
    [
        ("203.0.113.9", ["https"], "http"),
        ("10.0.0.1", [], "http"),
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["HTTPS "], "https"),
        ("10.0.0.1", ["https, http"], "http"),
        ("10.0.0.1", ["http", "https"], "https"),
        ("10.0.0.1", ["wss"], "http"),
        ("10.0.0.1", [""], "http"),
        ("10.0.0.1", ["https,"], "http"),
    ],
)
def test_scheme(peer: str, values: list[str], scheme: str) -> None:
    assert PROXIES.origin(peer, "http", forwarded(proto=tuple(values))).scheme == scheme


def test_nobody_is_trusted_unless_named() -> None:
    origin = TrustedProxies().origin("127.0.0.1", "http", forwarded("1.2.3.4", proto=("https",)))
    assert origin == Origin("127.0.0.1", "http")
    assert TrustedProxies.parse(" , ").origin("::1", "http", forwarded("1.2.3.4")).address == "::1"


@pytest.mark.parametrize("peer", [None, "", "unix:/run/socket"])
def test_a_peer_without_an_address_is_nobody(peer: str | None) -> None:
    assert PROXIES.origin(peer, "http", forwarded("1.2.3.4")) == Origin(peer or "unknown", "http")


@given(prefix=st.binary(max_size=80), client=st.ip_addresses())
def test_what_a_client_writes_never_moves_it(prefix: bytes, client: ipaddress.IPv4Address) -> None:
    address = str(client)
    expected = TrustedProxies().origin(address, "http", []).address
    if PROXIES.origin(address, "http", forwarded("8.8.8.8")).address == "8.8.8.8":
        return
    through_proxy = [(b"x-forwarded-for", prefix + b", " + address.encode())]
    assert PROXIES.origin("10.0.0.1", "http", through_proxy).address == expected
    assert PROXIES.origin(address, "http", [(b"x-forwarded-for", prefix)]).address == expected


@given(value=st.binary(max_size=200), proto=st.binary(max_size=20))
def test_any_header_is_survived(value: bytes, proto: bytes) -> None:
    origin = PROXIES.origin("10.0.0.1", "http", [(b"x-forwarded-for", value), (b"x-forwarded-proto", proto)])
    ipaddress.ip_address(origin.address)
    assert origin.scheme in {"http", "https"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("proxy.example.org", "neither an address nor a network"),
        ("*", "neither an address nor a network"),
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("10.0.0.0/33", "neither an address nor a network"),
        ("10.0.0.1:80", "neither an address nor a network"),
        ("127.0.0.1, 0.0.0.0/0", "covers every address"),
        ("::/0", "covers every address"),
        ("::ffff:0.0.0.0/96", "covers every address"),
        ("fe80::1%eth0", "zone"),
        ("10.0.0.0/8\n::1 x", "neither an address nor a network"),
    ],
)
def test_wrong_entries_are_named_in_one_line(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TrustedProxies.parse(text)
    assert caught.value.detail.startswith("FACE_API_TRUSTED_PROXIES: '")
    assert words in caught.value.detail
    assert "\n" not in caught.value.detail
