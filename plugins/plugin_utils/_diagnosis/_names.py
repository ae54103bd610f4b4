# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that lead elsewhere by now: nginx asks for their addresses once, when it reads its configuration."""

from __future__ import annotations

import ipaddress
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import host_and_port
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import seconds_ago, seconds_between
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._complaints import (
    event_evidence,
    recent_events,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, affected
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding

_SIGNATURES = ("connect_refused", "connect_unreach", "connect_kernel_timeout", "connect_eacces", "timeout_connect")

#: Whoever failed so lately, in seconds, fails still.
_NOW = 600.0


def stale_dns_address(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """nginx failed lately at an address that the name written for that port does not have any more."""
    touched = {end for each in explanations for end in each.ends}
    found = []
    for host in fleet.observations:
        own = [use for use in fleet.uses if use.host == host]
        events = [
            (path, event)
            for path, event in recent_events(fleet, host, _SIGNATURES)
            if not any(use.place_here.is_served_by(event["endpoint"] or "") for use in own)
        ]
        suspects: dict[str, list[Use]] = {}
        for use in own if events else ():
            if use.end not in touched:
                suspects.setdefault(use.endpoint["key"], []).append(use)
        for uses in suspects.values():
            about = [(path, event) for path, event in events if any(_may_have_been(use, event) for use in uses)]
            if about and not _resolved_since(fleet, uses[0], about):
                found.append(_stale(fleet, uses, about))
    return found


def _may_have_been(use: Use, event: ErrorLogEvent) -> bool:
    """Tell whether the line may be about an earlier address of the name that the route uses."""
    endpoint, key = use.endpoint, event["endpoint"] or ""
    if not key.startswith("tcp:") or not _is_name(endpoint["host"]) or not endpoint["addresses"] or _resolves(use):
        return False
    address, port = host_and_port(key)
    known = not event["server"] or event["server"] in use.route["server_names"]
    return port == endpoint["port"] and not _is_name(address) and known


def _is_name(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return bool(host)
    return False


def _resolves(use: Use) -> bool:
    """Tell whether nginx asks for the address again by itself."""
    return use.route["variables"] or any(
        "resolve" in server["parameters"]
        for upstream in use.instance["upstreams"]
        if upstream["name"] == use.route["upstream"]
        for server in upstream["servers"]
        if server["endpoint"] == use.endpoint["key"]
    )


def _resolved_since(fleet: Fleet, use: Use, about: Sequence[tuple[str, ErrorLogEvent]]) -> bool:
    """Tell whether nginx was started, or read its configuration, after the last line: then it asked for the address."""
    unit = fleet.unit(use.host, use.instance["unit"])
    last = max(event["last"] for _path, event in about)
    times = (unit["active_since"] if unit else "", use.instance["workers_since"])
    return any((after := seconds_between(last, time)) is not None and after >= 0 for time in times)


def _stale(fleet: Fleet, uses: Sequence[Use], about: Sequence[tuple[str, ErrorLogEvent]]) -> Explanation:
    use = uses[0]
    newest = min(seconds_ago(fleet.observations[use.host], event["last"]) or 0.0 for _unused, event in about)
    single = any(len(each.route["endpoints"]) == 1 for each in uses)
    old = sorted({host_and_port(event["endpoint"] or "")[0] for _unused, event in about})
    text = f"{use.endpoint['host']} is {', '.join(use.endpoint['addresses'])} now; nginx still asks {', '.join(old)}"
    finding = Finding(
        cause="stale_dns_address",
        host=use.host,
        subject=use.endpoint["key"],
        severity="outage" if single and newest <= _NOW else "intermittent",
        confidence="likely",
        routes=affected(uses),
        endpoint=use.endpoint["key"],
        evidence=(
            Evidence(kind="network", text=text, source=use.host),
            *(event_evidence(use.host, path, event) for path, event in about),
        ),
        fix=None,
    )
    return Explanation(finding, (), uses=tuple(uses))
