# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How nginx addresses an endpoint: the Host that it sends, its TLS, the script that it asks for. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import NginxInstance, Route, Settings


_VARIABLE = r"\$(?:\{(\w+)\}|(\w+))"
_SCHEME = r"(?i)^(?P<scheme>[a-z]+)://"
_TLS_SCHEMES = ("https", "grpcs", "suwsgi")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# Which versions nginx offers to upstreams by default, by its own version.
_TLS_PROTOCOLS = (
    ((1, 27, 3), ("TLSv1.2", "TLSv1.3")),
    ((1, 23, 4), ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
    ((0,), ("TLSv1", "TLSv1.1", "TLSv1.2")),
)
NO_NAME = "localhost"  # what is asked for where no route gives a name


class Tls(NamedTuple):
    """As the `*_ssl_*` directives in force have it. Nothing is verified unless `trusted` is given."""

    server_name: str | None = None  # SNI; None: none is sent, nginx's default
    name: str = ""  # the certificate has to be for that, when verified
    trusted: str | None = None  # file of the certificates that are trusted
    certificate: str | None = None
    key: str | None = None
    protocols: tuple[str, ...] = ()  # none: whatever the library has


class Manner(NamedTuple):
    """What a route says at its endpoint."""

    host: str = NO_NAME
    script: str = ""  # SCRIPT_FILENAME, where it can be known
    tls: Tls | None = None


def default_manner(protocol: str) -> Manner:
    """For an endpoint that no route speaks to."""
    return Manner(tls=Tls() if protocol in _TLS_SCHEMES else None)


def manners(instance: NginxInstance) -> dict[tuple[str, str], Manner]:
    """By endpoint and directive, those of its first route: none is asked twice."""
    found: dict[tuple[str, str], Manner] = {}
    prefix = str(PurePosixPath(instance["config"]).parent)
    for route in instance["routes"]:
        protocol = _protocol(route)
        for key in route["endpoints"]:
            if (key, protocol) not in found:
                settings = instance["route_settings"][route["settings"]]
                found[key, protocol] = manner_of(route, settings, version=instance["version"], prefix=prefix)
    return found


def manner_of(route: Route, settings: Settings, *, version: str, prefix: str) -> Manner:
    """`prefix` is what the paths of certificates count from: the directory of the main file."""
    names = {"proxy_host": _proxy_host(route["target"]), **_server_variables(route)}
    scheme = re.match(_SCHEME, route["target"])
    tls = None
    if scheme and scheme["scheme"].lower() in _TLS_SCHEMES:
        tls = _tls(settings, family=route["directive"].split("_")[0], names=names, version=version, prefix=prefix)
    return Manner(host=_host(route, settings, names=names), script=_script(settings), tls=tls)


def _protocol(route: Route) -> str:
    """As the endpoint's `protocol` has it."""
    scheme = re.match(_SCHEME, route["target"])
    name = scheme["scheme"].lower() if scheme else ""
    return {"": route["directive"].split("_")[0], "suwsgi": "uwsgi"}.get(name, name)


def _server_variables(route: Route) -> dict[str, str]:
    plain = [name for name in route["server_names"] if name and not set(name) & set("*~$^_")]
    name = plain[0] if plain else NO_NAME
    return dict.fromkeys(("host", "http_host", "server_name", "ssl_server_name"), name)


def _proxy_host(target: str) -> str:
    """$proxy_host: with its port unless that is the scheme's own, and `localhost` for a unix socket."""
    scheme = re.match(_SCHEME, target)
    rest = target[scheme.end() :] if scheme else target
    if rest.startswith("unix:"):
        return NO_NAME
    host = re.split(r"[/?]", rest, maxsplit=1)[0]
    port = _DEFAULT_PORTS.get(scheme["scheme"].lower() if scheme else "", "")
    return host[: -len(port)] if port and host.endswith(port) else host


def _expanded(text: str, names: Mapping[str, str]) -> str | None:
    """A value with its variables; None when it holds one whose value only a request has."""
    if "$" not in text:
        return text
    words = re.findall(_VARIABLE, text)
    if any((braced or plain) not in names for braced, plain in words):
        return None
    return re.sub(_VARIABLE, lambda match: names[match[1] or match[2]], text)


def _first(settings: Settings, name: str, default: str = "") -> str:
    arguments = settings.get(name) or [[default]]
    return arguments[-1][0] if arguments[-1] else default


def _host(route: Route, settings: Settings, *, names: Mapping[str, str]) -> str:
    """An app server behind uwsgi, FastCGI or SCGI gets the client's own Host."""
    family = route["directive"].split("_")[0]
    if family not in ("proxy", "grpc"):
        return names["host"]
    for arguments in settings.get(f"{family}_set_header", []):
        if len(arguments) == 2 and arguments[0].lower() == "host":
            expanded = _expanded(arguments[1], names)
            return names["host"] if expanded is None else expanded
    expanded = _expanded(names["proxy_host"], names)
    return names["host"] if expanded is None else expanded


def _without_port(name: str) -> str:
    return re.sub(r":\d+$", "", name) if not name.startswith("[") else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _tls(settings: Settings, *, family: str, names: Mapping[str, str], version: str, prefix: str) -> Tls:
    expanded = _expanded(_first(settings, f"{family}_ssl_name", "$proxy_host"), names)
    name = _without_port(expanded or names["host"])
    sends_name = _first(settings, f"{family}_ssl_server_name") == "on" and not _is_address(name)
    verifies = _first(settings, f"{family}_ssl_verify") == "on"

    def file(directive: str) -> str | None:
        path = _first(settings, f"{family}_ssl_{directive}")
        return str(PurePosixPath(prefix) / path) if path and "$" not in path else None

    given = settings.get(f"{family}_ssl_protocols", [])
    return Tls(
        server_name=name if sends_name else None,
        name=name,
        trusted=file("trusted_certificate") if verifies else None,
        certificate=file("certificate"),
        key=file("certificate_key"),
        protocols=tuple(given[-1]) if given else _default_protocols(version),
    )


def _default_protocols(version: str) -> tuple[str, ...]:
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return next((names for since, names in _TLS_PROTOCOLS if number >= since), ())


def _script(settings: Settings) -> str:
    """SCRIPT_FILENAME for the root of the site, where the configuration leaves no doubt about it."""
    root = _first(settings, "root")
    index = _first(settings, "fastcgi_index", "index.php")
    names = {"document_root": root, "realpath_root": root, "fastcgi_script_name": f"/{index}"}
    if not root or "$" in root:
        return ""
    for arguments in settings.get("fastcgi_param", []):
        if arguments[:1] == ["SCRIPT_FILENAME"] and len(arguments) >= 2:
            return _expanded(arguments[1], names) or ""
    return ""
