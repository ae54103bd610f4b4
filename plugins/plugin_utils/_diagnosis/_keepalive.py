# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep-alive is a relation: who of the two closes an idle connection first."""

from __future__ import annotations

import re

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Upstream
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence

_DEFAULT_TIMEOUT = 60.0  # seconds nginx keeps an idle connection to an upstream
_BY_DEFAULT_SINCE = (1, 29, 7)  # upstream blocks keep connections without being told
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0, "y": 31536000.0}


def closes_before_nginx(use: Use, app: AppServer | None) -> bool:
    """Tell whether nginx may send a request on a connection that the app server is closing."""
    kept, idle = nginx_keeps(use), _idle_timeout(app)
    return kept is not None and idle is not None and 0 < idle <= kept


def keepalive_evidence(use: Use, app: AppServer | None, host: str) -> list[Evidence]:
    kept, idle = nginx_keeps(use), _idle_timeout(app)
    if kept is None or idle is None or app is None:
        return []
    kind = app["kind"]
    text = (
        f"nginx keeps idle connections of {use.route['upstream']} for {kept:g} s, {kind} closes them after {idle:g} s"
    )
    return [Evidence(kind="config", text=text, source=host)]


def nginx_keeps(use: Use) -> float | None:
    """For how many seconds nginx keeps an idle connection to this upstream; None: it keeps none."""
    upstream = upstream_of(use)
    if upstream is None or use.endpoint["protocol"] not in ("http", "https", "grpc", "grpcs"):
        return None
    directives = {words[0]: words[1:] for words in upstream["directives"]}
    by_default = version_of(use.instance["version"]) >= _BY_DEFAULT_SINCE
    number = (directives.get("keepalive") or ["32" if by_default else "0"])[0]
    if number == "0" or (not by_default and use.endpoint["protocol"].startswith("http") and not _speaks_http_1_1(use)):
        return None
    return seconds((directives.get("keepalive_timeout") or [f"{_DEFAULT_TIMEOUT:g}s"])[0])


def upstream_of(use: Use) -> Upstream | None:
    return next((each for each in use.instance["upstreams"] if each["name"] == use.route["upstream"]), None)


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def seconds(text: str) -> float | None:
    """A time as nginx writes it: "60s", "1m 30s", "75"; None when it is a variable."""
    if not re.fullmatch(r"(?:\d+(?:ms|[smhdwMy])?\s*)+", text.strip()):
        return None
    return sum(int(number) * _UNITS.get(unit or "s", 1.0) for number, unit in re.findall(r"(\d+)(ms|[smhdwMy])?", text))


def _speaks_http_1_1(use: Use) -> bool:
    settings = use.instance["route_settings"][use.route["settings"]]
    headers = {words[0].lower(): words[1:] for words in settings.get("proxy_set_header", []) if words}
    return settings.get("proxy_http_version") == [["1.1"]] and headers.get("connection") in ([""], [])


def _idle_timeout(app: AppServer | None) -> float | None:
    value = app["settings"].get("idle_timeout") if app else None
    return float(value) if isinstance(value, (int, float)) else None
