# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as nginx reads them (ngx_parse_url): pure text, nothing is resolved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey


#: The protocol of each `*_pass` without a scheme.
PASS_PROTOCOLS = {
    "proxy_pass": "http",
    "grpc_pass": "grpc",
    "uwsgi_pass": "uwsgi",
    "fastcgi_pass": "fastcgi",
    "scgi_pass": "scgi",
}

# The schemes that each directive takes off; proxy_pass demands one, fastcgi_pass and scgi_pass know none.
_SCHEMES = {
    "proxy_pass": r"(?i)https?://",
    "grpc_pass": r"(?i)grpcs?://",
    "uwsgi_pass": r"(?i)s?uwsgi://",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}

_UNIX = "unix:"
_HOST = r"[^\s:/?#@\[\]{};\"'\\$\x00-\x20\x7f]+"
_IPV6 = r"\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]"
_MAX_UNIX_PATH = 107  # bytes that fit into sockaddr_un with the final NUL

_VARIABLE = r"\$(?:\{\w+\}|\w+)"
# Variables whose values begin with the slash that ends an address.
_SLASH_VARIABLE = r"\$(?:\{)?(?:request_uri|uri|document_uri)\b"
_CREDENTIALS = r"(?<=://)[^/@\s]+@"


class AddressError(ValueError):
    """Text that nginx does not take as an address; the message is the reason."""


class Address(NamedTuple):
    transport: str  # tcp | unix
    host: str | None = None  # without brackets
    port: int | None = None
    path: str | None = None

    @property
    def key(self) -> EndpointKey:
        if self.path is not None:
            return unix_key(self.path)
        return tcp_key(self.host or "", self.port or 0)


def tcp_key(host: str, port: int) -> EndpointKey:
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"


def unix_key(path: str) -> EndpointKey:
    return f"unix:{path}"


def parse_address(text: str, *, default_port: int | None = None) -> Address:
    """`127.0.0.1:8000`, `[::1]:8000`, `app:8000`, `unix:/run/x.sock`; raise AddressError with nginx's reason."""
    if text[: len(_UNIX)].lower() == _UNIX:
        return _unix_address(text[len(_UNIX) :])
    match = re.match(_IPV6 if text.startswith("[") else _HOST, text)
    if match is None:
        raise AddressError("no host" if text[:1] in ("", ":") else "invalid host")
    rest = text[match.end() :]
    if rest and not rest.startswith(":"):
        raise AddressError("invalid host")
    port = _port(rest[1:]) if rest else default_port
    if port is None:
        raise AddressError("no port")
    return Address(transport="tcp", host=match[0].strip("[]"), port=port)


def _unix_address(path: str) -> Address:
    if not path:
        raise AddressError("no path in the unix domain socket")
    if len(path.encode("utf-8", "surrogateescape")) > _MAX_UNIX_PATH:
        raise AddressError("too long path in the unix domain socket")
    return Address(transport="unix", path=path)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 65535:
        raise AddressError("invalid port")
    return int(text)


class Target(NamedTuple):
    """The argument of a `*_pass`, cut up: scheme + address + mark + uri is what is written."""

    scheme: str  # "http://" or ""
    address: str  # "127.0.0.1:8000", "unix:/run/x.sock", "app"; without credentials it is what nginx connects to
    mark: str  # the colon between a unix address and its URI part, or ""
    uri: str
    protocol: str
    default_port: int | None
    variables: bool
    decided: bool  # no variable can change the address

    def marked(self, address: str) -> str:
        """Another address, with the mark that it needs before this URI part."""
        return address + ":" if _is_unix(address) and (self.uri or self.mark) else address


def split_target(directive: str, value: str) -> Target:
    match = re.match(_SCHEMES[directive], value) if directive in _SCHEMES else None
    scheme = match[0] if match else ""
    protocol = _protocol(directive, scheme)
    address, rest = _cut(value[len(scheme) :], uri=directive == "proxy_pass")
    variables = "$" in value
    followed = not rest or rest[0] in ":/?" or bool(re.match(_SLASH_VARIABLE, rest))
    mark = ":" if rest.startswith(":") else ""
    return Target(
        scheme=scheme,
        address=address,
        mark=mark,
        uri=rest[len(mark) :],
        protocol=protocol,
        default_port=_DEFAULT_PORTS.get(protocol),
        variables=variables,
        decided="$" not in address and followed,
    )


def _protocol(directive: str, scheme: str) -> str:
    name = scheme[: -len("://")].lower()
    # suwsgi:// is uwsgi inside TLS; the words spoken are uwsgi's.
    return "uwsgi" if name == "suwsgi" else name or PASS_PROTOCOLS[directive]


def _cut(text: str, *, uri: bool) -> tuple[str, str]:
    """Cut off the URI part. Only proxy_pass has one; elsewhere a colon or slash belongs to the address."""
    variable = re.search(_VARIABLE, text)
    end = variable.start() if variable and variable.start() else len(text)
    if uri:
        marks = ":" if _is_unix(text) else "/?"
        first = len(_UNIX) if _is_unix(text) else 0
        found = [position for mark in marks for position in [text.find(mark, first)] if position >= 0]
        end = min([end, *found])
    return text[:end], text[end:]


def _is_unix(address: str) -> bool:
    return address[: len(_UNIX)].lower() == _UNIX


def redacted(target: str) -> str:
    return re.sub(_CREDENTIALS, "***@", target)
