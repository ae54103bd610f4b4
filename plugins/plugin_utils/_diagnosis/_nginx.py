# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes in nginx itself: its configuration, the names in it, and whether it runs."""

from __future__ import annotations

import re
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ConfigMessage, NginxInstance
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    affected,
    failure_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import start_nginx
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._targets import fix_target

_HOST_NOT_FOUND = re.compile(r'host not found in (?:upstream )?"(?P<host>[^"]+)"')

#: Levels of messages at which nginx refuses a configuration.
_FATAL = ("emerg", "alert", "crit")


def startup_host_not_found(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """An upstream's host name does not resolve: nginx cannot start, or reload, with it."""
    messages = {
        (host, name): (instance, message)
        for host, instance in fleet.instances()
        for message in instance["test"]["messages"]
        for name in _missing_names(message)
    }
    unresolved = {(each.host, each.endpoint["host"] or "") for each in remaining if each.outcome == "unresolved"}
    return [
        _unresolved(fleet, host, name, messages.get((host, name)), remaining)
        for host, name in sorted({*messages, *unresolved})
    ]


def nginx_config_invalid(fleet: Fleet) -> list[Finding]:
    """nginx refuses its configuration for another reason, or it cannot be read."""
    return [
        Finding(
            cause="nginx_config_invalid",
            host=host,
            subject=instance["config"],
            severity="risk" if instance["running"] else "outage",
            confidence="certain" if _is_refused(instance) else "possible",
            routes=affected(_uses_of(fleet, host, instance)),
            endpoint=None,
            evidence=(
                *(_message_evidence(host, instance, message) for message in messages),
                _state_evidence(host, instance),
            ),
            fix=None,
        )
        for host, instance in fleet.instances()
        for messages in [_complaints(instance)]
        if messages
    ]


def nginx_not_running(fleet: Fleet) -> list[Finding]:
    """Its configuration is right and its unit should run, and it does not."""
    findings = []
    for host, instance in fleet.instances():
        unit = fleet.unit(host, instance["unit"])
        if instance["running"] or unit is None or _complaints(instance) or _names(instance):
            continue
        text = f"{unit['name']}: {unit['active_state']} ({unit['sub_state']}), result {unit['result']}"
        findings.append(
            Finding(
                cause="nginx_not_running",
                host=host,
                subject=unit["name"],
                severity="outage",
                confidence="certain",
                routes=affected(_uses_of(fleet, host, instance)),
                endpoint=None,
                evidence=(Evidence(kind="unit", text=text, source=host), _test_evidence(host, instance)),
                fix=start_nginx(unit),
            )
        )
    return findings


def _unresolved(
    fleet: Fleet,
    host: str,
    name: str,
    told: tuple[NginxInstance, ConfigMessage] | None,
    remaining: Sequence[Failure],
) -> Explanation:
    failures = tuple(each for each in remaining if each.host == host and _is_about(each, name))
    uses = [use for use in fleet.uses if use.host == host and use.endpoint["host"] == name]
    is_down = told is not None and not told[0]["running"]
    finding = Finding(
        cause="startup_host_not_found",
        host=host,
        subject=name,
        severity="outage" if is_down or failures else "risk",
        confidence="certain" if told else "likely",
        routes=affected(uses),
        endpoint=min((use.endpoint["key"] for use in uses), default=None),
        evidence=(
            *([_message_evidence(host, told[0], told[1]), _state_evidence(host, told[0])] if told else []),
            *(evidence for failure in failures for evidence in failure_evidence(fleet, failure)),
        ),
        fix=None
        if not failures
        else fix_target(
            failures[0],
            pass_to=None,
            summary=f"Give {name} an address (DNS, /etc/hosts), or set pass_to of proxy_pass_routes to the right one",
        ),
    )
    return Explanation(finding, failures)


def _is_about(failure: Failure, name: str) -> bool:
    return failure.outcome == "unresolved" and failure.endpoint["host"] == name


def _missing_names(message: ConfigMessage) -> list[str]:
    """The host names that a message of nginx says it does not find, without their port."""
    return [re.sub(r":\d+$", "", found) for found in _HOST_NOT_FOUND.findall(message["message"])]


def _names(instance: NginxInstance) -> list[str]:
    return [name for message in instance["test"]["messages"] for name in _missing_names(message)]


def _is_refused(instance: NginxInstance) -> bool:
    return instance["test"]["ran"] and not instance["test"]["ok"]


def _complaints(instance: NginxInstance) -> list[ConfigMessage]:
    """What speaks against a config, names that do not resolve left out. Where nginx itself was asked, its word
    counts alone: what only we cannot read is no fault of the config."""
    test = instance["test"]
    messages = test["messages"] if test["ran"] else instance["config_errors"]
    fatal = [message for message in messages if message["level"] in _FATAL and not _missing_names(message)]
    unnamed = _is_refused(instance) and not fatal and not _names(instance)
    return messages or [_SILENT] if unnamed else fatal


_SILENT = ConfigMessage(level="emerg", message="nginx -t failed without saying why", file=None, line=None)


def _uses_of(fleet: Fleet, host: str, instance: NginxInstance) -> list[Use]:
    return [use for use in fleet.uses if use.host == host and use.instance is instance]


def _message_evidence(host: str, instance: NginxInstance, message: ConfigMessage) -> Evidence:
    where = message["file"] or instance["config"]
    line = f":{message['line']}" if message["line"] else ""
    return Evidence(kind="config", text=f"[{message['level']}] {message['message']}", source=f"{host}:{where}{line}")


def _state_evidence(host: str, instance: NginxInstance) -> Evidence:
    running = (
        "runs with what it loaded before; a reload or restart would be refused"
        if instance["running"]
        else "does not run"
    )
    return Evidence(kind="unit", text=f"{instance['id']} {running}", source=host)


def _test_evidence(host: str, instance: NginxInstance) -> Evidence:
    test = instance["test"]
    said = "nginx -t accepts the configuration" if test["ok"] else f"nginx -t could not be run: {test['why']}"
    return Evidence(kind="config", text=said, source=f"{host}:{instance['config']}")
