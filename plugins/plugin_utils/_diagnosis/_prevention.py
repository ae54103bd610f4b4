# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What works today and is known to break some day: settings of nginx, of app servers and of hosts that do not fit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import seconds
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Upstream
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, affected
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._keepalive import (
    closes_before_nginx,
    keepalive_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    AffectedRoute,
    Evidence,
    EvidenceKind,
    Finding,
    Fix,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._remedies import keepalive_fix, max_fails_fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import (
    Behind,
    behind,
    seen_from,
    settings_of,
)

_QUIET_LEVELS = ("crit", "alert", "emerg")  # errno 111, a refused connection, is an "error"
_FEW = 3  # servers of which one that is given up is missed
_BUSY = 4  # times the baseline: more workers than that only take memory from each other
_READ_TIMEOUT = 60.0  # seconds, nginx's own
_LARGE_LOG = 1 << 20  # bytes; below that nobody needs rotation yet


def localhost_target(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Finding]:
    """A name that stands for two addresses, of which the app server may serve one."""
    told = {each.finding.endpoint for each in explanations}
    grouped: dict[tuple[str, str], list[Use]] = defaultdict(list)
    for use in fleet.uses:
        if (use.endpoint["host"] or "").lower() == "localhost" and len(use.endpoint["addresses"]) > 1:
            grouped[use.host, use.endpoint["key"]].append(use)
    return [
        _risk(
            "localhost_target",
            host=host,
            subject=key,
            uses=uses,
            told=[("config", f"localhost is {' and '.join(uses[0].endpoint['addresses'])}: nginx tries both in turn")],
        )
        for (host, key), uses in sorted(grouped.items())
        if key not in told
    ]


def max_fails_trap(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """One failed request takes a server out of a small group for ten seconds, and the next one the other."""
    found = []
    for host, instance in fleet.instances():
        for upstream in instance["upstreams"]:
            routes = [route for route in instance["routes"] if route["upstream"] == upstream["name"]]
            if routes and _gives_up_quickly(upstream):
                number = len(upstream["servers"])
                text = f"upstream {upstream['name']} has {number} servers, each given up for 10 s after one failure"
                found.append(
                    _risk(
                        "max_fails_trap",
                        host=host,
                        subject=upstream["name"],
                        routes=[AffectedRoute.of(route) for route in routes],
                        told=[("config", text)],
                        source=f"{host}:{upstream['file']}:{upstream['line']}",
                        fix=max_fails_fix(upstream),
                    )
                )
    return found


def keepalive_relation(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Finding]:
    """nginx keeps connections for longer than the app server does: sooner or later a POST meets the difference."""
    told = {(each.finding.cause, each.finding.host, each.finding.subject) for each in explanations}
    found = []
    grouped: dict[tuple[str, str], list[tuple[Use, Behind]]] = defaultdict(list)
    for hits in _by_app(fleet).values():
        for use, other in hits:
            if closes_before_nginx(use, other.app):
                grouped[seen_from(use.host, other)].append((use, other))
    for (host, subject), racing in sorted(grouped.items()):
        if ("keepalive_race", host, subject) not in told:
            uses, other = [use for use, _other in racing], racing[0][1]
            found.append(
                _risk(
                    "keepalive_race",
                    host=host,
                    subject=subject,
                    uses=uses,
                    told=[(each.kind, each.text) for each in keepalive_evidence(uses[0], other.app, host)],
                    fix=replace(keepalive_fix(uses, other.app), automatic=False),
                )
            )
    return found


def read_timeout_below_app(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """nginx gives up while the app server would still be allowed to answer."""
    found = []
    for (host, subject), hits in sorted(_by_app(fleet).items()):
        for use, other in hits:
            allowed = _number(other.app, "request_timeout")
            waits = _waits(use)
            if allowed and waits is not None and waits < allowed:
                text = f"nginx waits {waits:g} s for {use.route['id']}, the app server allows a request {allowed:g} s"
                found.append(
                    _risk("read_timeout_below_app", host=host, subject=subject, uses=[use], told=[("config", text)])
                )
                break
    return found


def workers_unfit(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """One gunicorn worker where nobody chose a number, more than the CPUs can use, or more than memory holds."""
    found = []
    for (host, subject), hits in sorted(_by_app(fleet).items()):
        app = hits[0][1].app
        if app is None or app["kind"] != "gunicorn" or app["unit"] is None:
            continue
        text = _misfit(fleet, host, app)
        if text:
            found.append(
                _risk(
                    "workers_unfit",
                    host=host,
                    subject=subject,
                    uses=[use for use, _other in hits],
                    told=[("capacity", text)],
                )
            )
    return found


def backlog_capped(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """The app server asks for a longer queue than the kernel gives."""
    found = []
    for (host, subject), hits in sorted(_by_app(fleet).items()):
        most = fleet.observations[host]["network"]["sysctls"].get("net.core.somaxconn", "")
        asked = _number(hits[0][1].app, "backlog")
        chosen = hits[0][1].app is not None and hits[0][1].app["settings_from"].get("backlog", "default") != "default"
        if chosen and asked and most.isdigit() and asked > int(most):
            text = f"a backlog of {asked:g} is asked for, net.core.somaxconn is {most}"
            found.append(
                _risk(
                    "backlog_capped",
                    host=host,
                    subject=subject,
                    uses=[use for use, _other in hits],
                    told=[("capacity", text)],
                )
            )
    return found


def error_log_hides(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """The lines that tell why a 502 was given are not written."""
    return [
        _risk(
            "error_log_hides",
            host=host,
            subject=f"{setting['file']}:{setting['line']}",
            routes=[AffectedRoute.of(route) for route in instance["routes"]],
            told=[
                ("config", f"error_log {setting['destination']} {setting['level']}: {_what_is_lost(setting['level'])}")
            ],
            source=f"{host}:{setting['file']}:{setting['line']}",
        )
        for host, instance in fleet.instances()
        for setting in instance["error_logs"]
        if setting["level"] in _QUIET_LEVELS or setting["destination"] == "/dev/null"
    ]


def logs_not_rotated(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Finding]:
    """Logs that grow until the disk is full."""
    found = []
    for host, observation in fleet.observations.items():
        loose = [
            each
            for each in observation["capacity"]["log_rotation"]
            if each["by"] is None and each["size"] >= _LARGE_LOG
        ]
        units = sorted({instance["unit"] for each, instance in fleet.instances() if each == host and instance["unit"]})
        if loose:
            paths = [each["path"] for each in loose]
            entry = {"name": "nginx", "paths": paths, **({"unit": units[0]} if len(units) == 1 else {})}
            found.append(
                _risk(
                    "logs_not_rotated",
                    host=host,
                    subject=paths[0],
                    told=[
                        ("capacity", f"{each['path']}: {each['size'] >> 20} MiB, and no file of logrotate's covers it")
                        for each in loose
                    ],
                    fix=Fix(
                        role="log_rotation",
                        automatic=False,
                        summary="Set log_rotation_logs as below, with the unit that writes them",
                        variables={"log_rotation_logs": [entry]},
                    ),
                )
            )
    return found


def nginx_not_ordered(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Finding]:
    """After a reboot nginx may serve before the app server does."""
    told = {each.app for each in explanations if each.app}
    found = []
    for (host, subject), hits in sorted(_by_app(fleet).items()):
        for use, other in hits:
            nginx = fleet.unit(use.host, use.instance["unit"])
            service = fleet.unit(host, other.unit)
            if use.host != host or nginx is None or service is None or (host, other.unit) in told:
                continue
            if service["name"] not in nginx["after"] and not service["triggered_by"]:
                entry = {"unit": service["name"], "restart": "unchanged", "nginx_unit": nginx["name"]}
                fix = Fix(
                    role="supervision",
                    automatic=False,
                    summary="Set nginx_dependency of supervision_units to one of the candidates",
                    variables={"supervision_units": [entry]},
                    candidates=("wants", "requires"),
                )
                text = f"{nginx['name']} is not ordered after {service['name']}"
                found.append(
                    _risk("nginx_not_ordered", host=host, subject=subject, uses=[use], told=[("unit", text)], fix=fix)
                )
                break
    return found


def _by_app(fleet: Fleet) -> dict[tuple[str, str], list[tuple[Use, Behind]]]:
    """The uses of every app server that serves now."""
    found: dict[tuple[str, str], list[tuple[Use, Behind]]] = defaultdict(list)
    for use in fleet.uses:
        other = behind(fleet, use)
        if other is not None and other.app is not None:
            found[other.place.host, other.subject].append((use, other))
    return found


def _risk(
    cause: str,
    *,
    host: str,
    subject: str,
    told: Iterable[tuple[EvidenceKind, str]],
    uses: Sequence[Use] = (),
    routes: Sequence[AffectedRoute] = (),
    source: str = "",
    fix: Fix | None = None,
) -> Finding:
    return Finding(
        cause=cause,
        host=host,
        subject=subject,
        severity="risk",
        confidence="certain",
        routes=tuple(routes) or affected(uses),
        endpoint=uses[0].endpoint["key"] if uses else None,
        evidence=tuple(Evidence(kind=kind, text=text, source=source or host) for kind, text in told),
        fix=fix,
    )


def _gives_up_quickly(upstream: Upstream) -> bool:
    live = [server for server in upstream["servers"] if not {"down", "backup"} & set(server["parameters"])]
    decided = any(parameter.startswith("max_fails=") for server in live for parameter in server["parameters"])
    return 2 <= len(live) <= _FEW and not decided


def _waits(use: Use) -> float | None:
    given = settings_of(use, "read_timeout")
    return seconds(given[0][0]) if given and given[0] else _READ_TIMEOUT


def _number(app: AppServer | None, name: str) -> float | None:
    value = app["settings"].get(name) if app else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _misfit(fleet: Fleet, host: str, app: AppServer) -> str:
    """Why the number of workers does not fit; "" when it does, or when it is not known."""
    workers, threads = _number(app, "workers"), _number(app, "threads")
    cpus = app["capacity"]["cpus"] or float(fleet.observations[host]["capacity"]["cpus"])
    if workers is None or not cpus:
        return ""
    baseline = 2 * cpus + 1
    each, limit = app["capacity"]["memory_per_worker"], app["capacity"]["memory_limit"]
    if each and limit and each * workers > limit:
        return f"{workers:g} workers of {each >> 20} MiB each are more than the {limit >> 20} MiB that the unit may use"
    if workers == 1 and (threads or 1) == 1 and app["settings_from"].get("workers", "default") == "default":
        return f"one worker, because nobody chose a number; the baseline for {cpus:g} CPUs is {baseline:g}"
    if workers > _BUSY * baseline:
        return f"{workers:g} workers for {cpus:g} CPUs; the baseline is {baseline:g}"
    return ""


def _what_is_lost(level: str) -> str:
    return "a refused connection is logged at error, and so is not" if level in _QUIET_LEVELS else "nothing is kept"
