# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong inside nginx: names at run time, limits of its own, its configuration against what it runs with."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Callable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    ConfigStatus,
    ErrorLogEvent,
    NginxInstance,
    Route,
    Upstream,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    AffectedRoute,
    Confidence,
    Evidence,
    Finding,
    Severity,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import (
    events,
    line_evidence,
    of_route,
    why_over,
)

_ENFILE, _EMFILE = 23, 24
_REUSING = "reusing connections"


@dataclass(frozen=True)
class _Cause:
    """A cause that one kind of lines tells, as long as the configuration still has what they are about."""

    id: str
    signatures: tuple[str, ...]
    severity: Severity
    still: Callable[[NginxInstance, Route], bool] | None  # None: it is about nginx itself, not about routes
    errnos: tuple[int, ...] = ()


def _has(instance: NginxInstance, route: Route, name: str) -> bool:
    return bool(of_route(instance, route["settings"], name))


def _asks_without_resolver(instance: NginxInstance, route: Route) -> bool:
    return route["variables"] and not _has(instance, route, "resolver")


def _asks_resolver(instance: NginxInstance, route: Route) -> bool:
    return _has(instance, route, "resolver") and (route["variables"] or _resolves(instance, route))


def _resolves(instance: NginxInstance, route: Route) -> bool:
    upstreams = [each for each in instance["upstreams"] if each["name"] == route["upstream"]]
    return any("resolve" in server["parameters"] for each in upstreams for server in each["servers"])


def _has_variables(_instance: NginxInstance, route: Route) -> bool:
    return route["variables"]


def _binds(instance: NginxInstance, route: Route) -> bool:
    return _has(instance, route, f"{route['directive'][: -len('pass')]}bind")


def _verifies(instance: NginxInstance, route: Route) -> bool:
    return of_route(instance, route["settings"], f"{route['directive'][: -len('pass')]}ssl_verify") == [["on"]]


def _always(_instance: NginxInstance, _route: Route) -> bool:
    return True


_TOLD_BY_LINES = (
    _Cause("no_resolver", ("no_resolver",), "outage", _asks_without_resolver),
    _Cause("resolver_failed", ("resolve_failed", "resolver_io"), "intermittent", _asks_resolver),
    _Cause("bad_variable_url", ("bad_var_url",), "outage", _has_variables),
    _Cause("proxy_bind_invalid", ("bind_failed",), "outage", _binds),
    _Cause("tls_verify_failed", ("tls_verify",), "outage", _verifies),
    _Cause("temp_path_denied_or_full", ("temp_file",), "intermittent", _always, errnos=(13, 28)),
    _Cause("worker_connections_exhausted", ("worker_connections",), "intermittent", None),
    _Cause("nofile_exhausted", ("socket_failed",), "intermittent", None, errnos=(_ENFILE, _EMFILE)),
)


@dataclass
class _Lines:
    """All lines of one cause, about one server of one nginx host."""

    routes: list[AffectedRoute] = field(default_factory=list)
    events: list[tuple[str, ErrorLogEvent]] = field(default_factory=list)  # with the log's path


def told_by_lines(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """Causes that nginx itself names in its log."""
    dead = {use.end for each in explanations for failure in each.failures for use in failure.uses}
    found: list[Explanation] = []
    for cause in _TOLD_BY_LINES:
        grouped: dict[tuple[str, str], _Lines] = {}
        for host, log, event in events(fleet, cause.signatures):
            routes = list(_concerned(fleet, host, event, cause))
            follows = any(use.end in dead for use in fleet.uses_meant(host, event["endpoint"]))
            if (routes or cause.still is None) and _counts(cause, event) and not follows:
                subject = event["server"] if cause.still and event["server"] else "nginx"
                lines = grouped.setdefault((host, subject), _Lines())
                lines.routes += routes
                lines.events.append((log, event))
        found += [
            _told(fleet, cause, host, subject, lines)
            for (host, subject), lines in sorted(grouped.items(), key=itemgetter(0))
        ]
    return found


def _counts(cause: _Cause, event: ErrorLogEvent) -> bool:
    """Some lines only warn: nginx took a connection away from an idle client, and had one."""
    soft = event["details"].get(_REUSING, 0) >= event["count"]
    return not soft and (not cause.errnos or event["errno"] in cause.errnos)


def _healed(fleet: Fleet, host: str, lines: Sequence[tuple[str, ErrorLogEvent]]) -> list[Evidence]:
    """Why none of these lines will come again; nothing when one of them may."""
    over = [why_over(fleet, host, log, event) for log, event in lines]
    return [Evidence(kind="error_log", text=text, source=host) for text in over if all(over)]


def _told(fleet: Fleet, cause: _Cause, host: str, subject: str, lines: _Lines) -> Explanation:
    healed = _healed(fleet, host, lines.events)
    shown = [line_evidence(host, log, event) for log, event in lines.events]
    return _finding(
        cause.id,
        host,
        subject,
        lines.routes,
        [*healed, *shown, *_limits(fleet, host, cause)],
        severity="risk" if healed else cause.severity,
    )


def no_live_upstreams(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """No server of an upstream is left. Where some finding says why, this only follows from it."""
    told = {route for each in explanations for route in each.finding.routes}
    found = []
    for host, instance in fleet.instances():
        for upstream in instance["upstreams"]:
            routes = [route for route in instance["routes"] if route["upstream"] == upstream["name"]]
            affected = [AffectedRoute.of(route) for route in routes]
            lines = _lines_about(fleet, host, upstream)
            if affected and not told & set(affected) and (lines or _all_down(upstream)):
                shown = [line_evidence(host, log, event) for log, event in lines]
                healed = [] if _all_down(upstream) else _healed(fleet, host, lines)
                evidence = [*_down_evidence(host, upstream), *healed, *shown]
                severity: Severity = "outage" if _all_down(upstream) else "risk" if healed else "intermittent"
                found.append(
                    _finding("no_live_upstreams", host, upstream["name"], affected, evidence, severity=severity)
                )
    return found


def auth_request_upstream_down(_fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """nginx asks an app for permission first, and that one does not answer: clients get 500 from a healthy route."""
    found = []
    for each in explanations:
        for use in (use for failure in each.failures for use in failure.uses):
            guarded = [
                route
                for route in use.instance["routes"]
                if any(
                    words[:1] == [_path(use.route)]
                    for words in of_route(use.instance, route["settings"], "auth_request")
                )
            ]
            if guarded:
                routes = [AffectedRoute.of(route) for route in (*guarded, use.route)]
                guests = ", ".join(route["id"] for route in guarded)
                text = f"{use.route['id']} is asked before {guests}, and fails"
                evidence = [
                    Evidence(kind="config", text=text, source=f"{use.host}:{use.route['file']}:{use.route['line']}"),
                    Evidence(
                        kind="probe", text=f"why it fails: {each.finding.cause} on {each.finding.host}", source=use.host
                    ),
                ]
                found.append(
                    _finding(
                        "auth_request_upstream_down", use.host, use.route["id"], routes, evidence, severity="outage"
                    )
                )
    return found


def config_produces_502(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Explanation]:
    """The configuration answers 502 itself, where a route should."""
    return [
        _finding(
            "config_produces_502",
            host,
            f"{status['file']}:{status['line']}",
            [AffectedRoute.of(route) for route in routes],
            [
                Evidence(
                    kind="config",
                    text=f"{status['directive']} {' '.join(status['arguments'])} comes before the location's *_pass",
                    source=f"{host}:{status['file']}:{status['line']}",
                )
            ],
            severity="outage",
        )
        for host, instance in fleet.instances()
        for status in instance["statuses"]
        if status["status"] == 502 and status["directive"] == "return" and not status["conditional"]
        for routes in [[route for route in instance["routes"] if _is_shadowed(route, status)]]
        if routes
    ]


def reload_not_applied(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Explanation]:
    """Files changed since nginx read them, and it fails at addresses that they do not name any more."""
    found = []
    for host, instance in fleet.instances():
        if not instance["running"] or instance["runs_as_configured"] is not False:
            continue
        named = {key for route in instance["routes"] for key in route["endpoints"]}
        logs = {setting["destination"] for setting in instance["error_logs"]}
        lines = [
            (log, event)
            for each_host, log, event in events(fleet)
            if each_host == host and log in logs and event["endpoint"] and event["endpoint"] not in named
        ]
        if lines:
            servers = {event["server"] for _log, event in lines}
            routes = [route for route in instance["routes"] if (route["server_names"][:1] or [""])[0] in servers]
            text = "a file of the configuration is newer than the workers: nginx runs with what it read before"
            evidence = [Evidence(kind="config", text=text, source=f"{host}:{instance['config']}")]
            evidence += [line_evidence(host, log, event) for log, event in lines]
            evidence += _refusal(host, instance)
            affected = [AffectedRoute.of(route) for route in routes]
            found.append(
                _finding(
                    "reload_not_applied",
                    host,
                    instance["id"],
                    affected,
                    evidence,
                    severity="outage",
                    confidence="likely",
                )
            )
    return found


def _finding(
    cause: str,
    host: str,
    subject: str,
    routes: Sequence[AffectedRoute],
    evidence: Sequence[Evidence],
    *,
    severity: Severity,
    confidence: Confidence = "certain",
) -> Explanation:
    return Explanation(
        Finding(
            cause=cause,
            host=host,
            subject=subject,
            severity=severity,
            confidence=confidence,
            routes=tuple(dict.fromkeys(routes)),
            endpoint=None,
            evidence=tuple(dict.fromkeys(evidence)),
            fix=None,
        ),
        failures=(),
    )


def _concerned(fleet: Fleet, host: str, event: ErrorLogEvent, cause: _Cause) -> Iterator[AffectedRoute]:
    """The routes of the server that the line names, as far as they still have what it is about."""
    if cause.still is None:
        return
    for each_host, instance in fleet.instances():
        for route in instance["routes"] if each_host == host else ():
            if (route["server_names"][:1] or [""])[0] == (event["server"] or "") and cause.still(instance, route):
                yield AffectedRoute.of(route)


def _limits(fleet: Fleet, host: str, cause: _Cause) -> list[Evidence]:
    """What nginx is allowed to use, beside lines that say that it was not enough."""
    found = []
    for each_host, instance in fleet.instances():
        settings = instance["settings"]
        told = {
            "worker_connections_exhausted": f"worker_connections {settings.get('worker_connections', [['512']])[0][0]}",
            "nofile_exhausted": f"a worker may open {instance['open_files_limit'] or 'an unknown number of'} files",
        }.get(cause.id)
        if each_host == host and told:
            found.append(Evidence(kind="capacity", text=told, source=f"{host}:{instance['config']}"))
    return found


def _lines_about(fleet: Fleet, host: str, upstream: Upstream) -> list[tuple[str, ErrorLogEvent]]:
    return [
        (log, event)
        for each_host, log, event in events(fleet, ("no_live_upstreams",))
        if each_host == host and (event["upstream"] or "").partition("://")[2].partition("/")[0] == upstream["name"]
    ]


def _all_down(upstream: Upstream) -> bool:
    return bool(upstream["servers"]) and all("down" in server["parameters"] for server in upstream["servers"])


def _down_evidence(host: str, upstream: Upstream) -> list[Evidence]:
    text = f"every server of upstream {upstream['name']} is marked down"
    source = f"{host}:{upstream['file']}:{upstream['line']}"
    return [Evidence(kind="config", text=text, source=source)] if _all_down(upstream) else []


def _path(route: Route) -> str:
    return route["location"].split()[-1] if route["location"] else "/"


def _is_shadowed(route: Route, status: ConfigStatus) -> bool:
    """`return` of the same location, or of the server, is obeyed before any `*_pass`."""
    same_server = route["server_names"] == status["server_names"] and route["file"] == status["file"]
    return same_server and status["location"] in (route["location"], "")


def _refusal(host: str, instance: NginxInstance) -> list[Evidence]:
    if instance["test"]["ok"] or not instance["test"]["ran"]:
        return []
    messages = [each["message"] for each in instance["test"]["messages"]]
    text = f"nginx -t refuses what the files hold now, so no reload can take it: {'; '.join(messages)}"
    return [Evidence(kind="config", text=text, source=f"{host}:{instance['config']}")]
