# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the records of a run to findings and plans. Pure: the same records always give the same diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Observation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._advice import advice
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._answers import (
    no_answer,
    not_understood,
    other_protocol,
    tls_fails,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._apps import (
    app_down,
    app_maybe_down,
    app_named_down,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._capacity import with_capacity_fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, Failure, failures
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._filters import (
    firewall_between,
    firewall_drop,
    firewall_reject,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._flapping import (
    app_comes_and_goes,
    conntrack_was_full,
    ipv6_was_tried,
    ports_were_exhausted,
    restart_window,
    tcp_queue_was_full,
    unix_queue_was_full,
    wrong_program_answers,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._inside import (
    auth_request_upstream_down,
    config_produces_502,
    no_live_upstreams,
    reload_not_applied,
    told_by_lines,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._interfaces import (
    loopback_family_mismatch,
    netns_or_interface_mismatch,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._names import stale_dns_address
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._network import (
    conntrack_full,
    ephemeral_ports_exhausted,
    ipv6_unavailable,
    selinux_tcp_denied,
    tcp_backlog_overflow,
    upstream_host_unreachable,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._nginx import (
    nginx_config_invalid,
    nginx_not_running,
    startup_host_not_found,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._other import endpoint_not_answering
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._plan import Plans, plans
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._prevention import (
    backlog_capped,
    error_log_hides,
    keepalive_relation,
    localhost_target,
    logs_not_rotated,
    max_fails_trap,
    nginx_not_ordered,
    read_timeout_below_app,
    workers_unfit,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._said import app_said_so
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._serving import (
    app_misbehaves,
    uwsgi_app_missing,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._socket_units import (
    activated_app_fails,
    socket_unit_failed,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._targets import (
    nobody_at_address,
    wrong_upstream_address,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._unix_sockets import (
    runtime_dir_gone,
    selinux_unix_denied,
    socket_hidden_by_private_tmp,
    socket_missing,
    socket_path_syntax,
    socket_permission,
    socket_stale,
    socket_unlinked_by_old_instance,
    socket_wrong_type,
    unix_backlog_full,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord

#: A rule about failures: it explains what it can of those that the rules before it left over.
FailureRule = Callable[[Fleet, Sequence[Failure]], List[Explanation]]

#: A rule about what answers now and did not always, or that may fail soon. It is told every explanation so far, so that
#: it leaves out what only follows from one of them.
PastRule = Callable[[Fleet, Sequence[Explanation]], List[Explanation]]
RiskRule = Callable[[Fleet, Sequence[Explanation]], List[Finding]]

# Rules in the order in which they are asked. What an app server's settings and the kernel say comes before what only
# fits; a new rule goes to its family, before whatever its cause would otherwise be taken for.

#: What keeps nginx from connecting.
_CONNECTING: tuple[FailureRule, ...] = (
    startup_host_not_found,
    socket_path_syntax,
    activated_app_fails,
    socket_unit_failed,
    runtime_dir_gone,
    app_down,
    socket_hidden_by_private_tmp,
    socket_unlinked_by_old_instance,
    socket_missing,
    socket_wrong_type,
    socket_stale,
    selinux_unix_denied,
    socket_permission,
    unix_backlog_full,
    loopback_family_mismatch,
    netns_or_interface_mismatch,
    selinux_tcp_denied,
    firewall_reject,
    firewall_drop,
    tcp_backlog_overflow,
    conntrack_full,
    ipv6_unavailable,
    ephemeral_ports_exhausted,
    upstream_host_unreachable,
    app_named_down,
    wrong_upstream_address,
)

#: What goes wrong on a connection: TLS, the protocol, the answer.
_ANSWERING: tuple[FailureRule, ...] = (tls_fails, other_protocol, no_answer)

#: What only fits, and at the very end what nobody can explain.
_GUESSING: tuple[FailureRule, ...] = (
    app_maybe_down,
    nobody_at_address,
    firewall_between,
    endpoint_not_answering,
)

#: What the logs tell of endpoints that answer now.
_PAST: tuple[PastRule, ...] = (
    wrong_program_answers,
    app_comes_and_goes,
    unix_queue_was_full,
    conntrack_was_full,
    tcp_queue_was_full,
    ports_were_exhausted,
    ipv6_was_tried,
    stale_dns_address,
    restart_window,
    auth_request_upstream_down,
    config_produces_502,
    reload_not_applied,
    uwsgi_app_missing,
    told_by_lines,
    not_understood,
    app_misbehaves,
    app_said_so,
    no_live_upstreams,
)

#: What has not happened yet.
_RISKS: tuple[RiskRule, ...] = (
    advice,
    nginx_not_ordered,
    keepalive_relation,
    max_fails_trap,
    workers_unfit,
    read_timeout_below_app,
    backlog_capped,
    localhost_target,
    error_log_hides,
    logs_not_rotated,
)


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong in a fleet, most severe first, and what to do about it."""

    findings: tuple[Finding, ...]
    plans: Plans
    hosts: dict[str, dict[str, Any]]  # status, reason, nginx (versions), routes (their number)
    missed: dict[str, list[tuple[str, str]]]  # for each host, what could not be seen there, and why


def diagnose(records: Mapping[str, HostRecord]) -> Diagnosis:
    """Name the causes of what these hosts showed."""
    fleet = Fleet(records)
    explanations = _explained(fleet)
    found = [each.finding for each in explanations]
    found += nginx_config_invalid(fleet) + nginx_not_running(fleet)
    found += [finding for rule in _RISKS for finding in rule(fleet, explanations)]
    findings = tuple(sorted((with_capacity_fix(fleet, each) for each in found), key=lambda finding: finding.rank))
    return Diagnosis(
        findings=findings,
        plans=plans(findings),
        hosts={host: _summary(records[host]) for host in sorted(records)},
        missed={host: _missed(observation) for host, observation in fleet.observations.items()},
    )


def _explained(fleet: Fleet) -> list[Explanation]:
    remaining = failures(fleet)
    explanations: list[Explanation] = []
    for rule in (*_CONNECTING, *_ANSWERING, *_GUESSING):
        found = rule(fleet, remaining)
        done = {failure for each in found for failure in each.failures}
        remaining = [failure for failure in remaining if failure not in done]
        explanations += found
    for past in _PAST:
        explanations += past(fleet, explanations)
    return explanations


def _missed(observation: Observation) -> list[tuple[str, str]]:
    """What could not be seen, parts of nginx's configuration that only nginx itself can read included."""
    unread = [
        (f"configuration {message['file'] or instance['config']}:{message['line'] or 0}", message["message"])
        for instance in observation["nginx"]
        for message in instance["config_errors"]
    ]
    return unread + [(each["what"], each["why"]) for each in observation["missed"]]


def _summary(record: HostRecord) -> dict[str, Any]:
    instances = record.observation["nginx"] if record.observation else []
    return {
        "status": record.status,
        "reason": record.reason,
        "nginx": [instance["version"] for instance in instances],
        "routes": sum(len(instance["routes"]) for instance in instances),
    }
