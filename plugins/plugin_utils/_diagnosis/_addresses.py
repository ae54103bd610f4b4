# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses: which listener serves which address, and how an endpoint's key and nginx write them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, EndpointKey

_LOCALHOST = ("127.0.0.1", "::1")
_ALL_IPV4 = "0.0.0.0"  # noqa: S104 - compared with, never bound
_SLASHES = re.compile(r"/{2,}")  # as many as one, to the kernel
_REMEMBERED = 1 << 16  # addresses: a fleet has few, and rules ask about the same ones again and again


@dataclass(frozen=True)
class Place:
    """Where an endpoint ends on one host: a port on some of its addresses, or a path."""

    host: str  # inventory name
    addresses: tuple[str, ...]  # empty for unix
    port: int | None
    path: str | None

    @property
    def where(self) -> int | str | None:
        """The port, or the path."""
        return self.port if self.path is None else _path(self.path)

    def is_served_by(self, key: EndpointKey) -> bool:
        """Tell whether a listener (or a setting) at `key` on that host takes connections to some of these addresses."""
        if self.path is not None:
            return key.startswith("unix:") and _path(key[len("unix:") :]) == _path(self.path)
        if not key.startswith("tcp:"):
            return False
        host, port = host_and_port(key)
        return port == self.port and any(covers(host, address) for address in self.addresses)


def where(key: EndpointKey) -> int | str:
    """The port or the path of a key: whatever serves a place is at the same one."""
    return host_and_port(key)[1] if key.startswith("tcp:") else _path(key[len("unix:") :])


def place_of(endpoint: Endpoint, host: str) -> Place:
    """The place of an endpoint on a host that it is known to end at."""
    return Place(host=host, addresses=tuple(endpoint["addresses"]), port=endpoint["port"], path=endpoint["path"])


def host_and_port(key: EndpointKey) -> tuple[str, int]:
    """Split "tcp:HOST:PORT"; brackets of an IPv6 address are taken off."""
    host, port = key[len("tcp:") :].rsplit(":", 1)
    return host.strip("[]"), int(port)


def key_of(address: str, port: int | None) -> EndpointKey:
    """The key of a listener: its address and port, or its path when it has no port."""
    return f"unix:{address}" if port is None else f"tcp:{_bracketed(address)}:{port}"


def as_nginx_writes(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def covers(listening: str, address: str) -> bool:
    """Tell whether a socket bound to `listening` takes connections to `address`. "::" takes IPv4 as well."""
    bound, wanted = _canonical(listening), _canonical(address)
    if bound == "localhost":
        return wanted in _LOCALHOST
    return bound in (wanted, "::", "*") or (bound == _ALL_IPV4 and ":" not in wanted)


def overlap(one: EndpointKey, other: EndpointKey) -> bool:
    """Tell whether only one of two sockets can be bound."""
    if one.startswith("unix:") or other.startswith("unix:"):
        return one[:5] == other[:5] and _path(one[5:]) == _path(other[5:])
    (host, port), (other_host, other_port) = host_and_port(one), host_and_port(other)
    return port == other_port and (covers(host, other_host) or covers(other_host, host))


def is_wildcard(address: str) -> bool:
    return _canonical(address) in (_ALL_IPV4, "::", "*")


@lru_cache(maxsize=_REMEMBERED)
def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(_canonical(address)).is_loopback
    except ValueError:
        return address == "localhost"


def is_special_loopback(address: str) -> bool:
    """A loopback address that nobody writes without a reason."""
    return is_loopback(address) and _canonical(address) not in (*_LOCALHOST, "localhost")


@lru_cache(maxsize=_REMEMBERED)
def _canonical(address: str) -> str:
    """One spelling for one address: no zone, no IPv4-mapped IPv6, no leading zeros."""
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return address.lower()
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _path(path: str) -> str:
    """One spelling for one path: uWSGI's documentation writes unix:///run/shop.sock, others write /var/run, which is a
    link to /run on every distribution with systemd."""
    plain = _SLASHES.sub("/", path)
    return plain[len("/var") :] if plain.startswith("/var/run/") else plain
