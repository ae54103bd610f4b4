# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep-alive is a relation: who of the two closes an idle connection first."""

from __future__ import annotations

import re

from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import (
    KEPT_BY_DEFAULT_SINCE,
    keeps_for,
    races,
    span,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Upstream
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence


def closes_before_nginx(use: Use, app: AppServer | None) -> bool:
    """Tell whether nginx may send a request on a connection that the app server is closing."""
    return races(idle=idle_timeout(app), kept=nginx_keeps(use))


def keepalive_evidence(use: Use, app: AppServer | None, host: str) -> list[Evidence]:
    kept, idle = nginx_keeps(use), idle_timeout(app)
    if kept is None or idle is None or app is None:
        return []
    kind = app["kind"]
    text = f"nginx keeps idle connections of {use.route['upstream']} {span(kept)}, {kind} closes them after {idle:g} s"
    return [Evidence(kind="config", text=text, source=host)]


def nginx_keeps(use: Use) -> float | None:
    """For how many seconds nginx keeps an idle connection to this upstream; None: it keeps none."""
    upstream = upstream_of(use)
    if upstream is None or use.endpoint["protocol"] not in ("http", "https", "grpc", "grpcs"):
        return None
    version = version_of(use.instance["version"])
    if use.endpoint["protocol"].startswith("http") and version < KEPT_BY_DEFAULT_SINCE and not _speaks_http_1_1(use):
        return None
    return keeps_for(upstream["directives"], version=version)


def idle_timeout(app: AppServer | None) -> float | None:
    value = app["settings"].get("idle_timeout") if app else None
    return float(value) if isinstance(value, (int, float)) else None


def upstream_of(use: Use) -> Upstream | None:
    return next((each for each in use.instance["upstreams"] if each["name"] == use.route["upstream"]), None)


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _speaks_http_1_1(use: Use) -> bool:
    settings = use.instance["route_settings"][use.route["settings"]]
    headers = {words[0].lower(): words[1:] for words in settings.get("proxy_set_header", []) if words}
    return settings.get("proxy_http_version") == [["1.1"]] and headers.get("connection") in ([""], [])
