# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sockets that systemd holds."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    listener,
    nginx_unit,
    probe,
    socket_file,
    stopped,
    stopped_app,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    SOCKET,
    TCP,
    named,
    only,
    site,
)

LISTEN = {"Listen": "/run/shop/shop.sock (Stream)"}


def activated(
    key: str = SOCKET, *, socket: dict[str, Any], service: dict[str, Any] | None = None, outcome: str = "refused"
) -> Any:
    values: dict[str, Any] = {"active_state": "inactive", "raw": LISTEN, "restart": "", **socket}
    held = [listener(key, unit="shop.socket", pid=1, process="systemd")] if values["active_state"] == "active" else []
    service_values = {"unit_file_state": "disabled", "triggered_by": ["shop.socket"], **(service or {})}
    return site(
        key,
        apps=[stopped_app(key)],
        units=[unit("shop.socket", **values), stopped(**service_values), nginx_unit()],
        listeners=[SSHD, *held],
        probes=[probe(key, outcome)],
        socket_files=[socket_file(SOCKET[5:], listening=bool(held))] if key == SOCKET else [],
    )


CASES = {
    "stopped": ({}, {}, "socket_unit_failed", True),
    "failed": ({"active_state": "failed", "unit_file_state": "disabled"}, {}, "socket_unit_failed", True),
    "given up": ({"active_state": "failed", "result": "trigger-limit-hit"}, {}, "socket_unit_failed", False),
    "required by its service": (
        {"unit_file_state": "disabled"},
        {"unit_file_state": "enabled", "requires": ["shop.socket"]},
        "socket_unit_failed",
        True,
    ),
    "switched off beside a service that starts by itself": (
        {"unit_file_state": "disabled"},
        {"unit_file_state": "enabled"},
        "app_not_running",
        True,
    ),
    "listens elsewhere": ({"raw": {"Listen": "/run/other.sock (Stream)"}}, {}, "app_not_running", True),
}


@pytest.mark.parametrize(("socket", "service", "cause", "automatic"), CASES.values(), ids=CASES)
def test_who_is_to_listen(socket: dict[str, Any], service: dict[str, Any], cause: str, automatic: bool) -> None:
    finding = only(activated(socket=socket, service=service))
    assert (finding.cause, finding.host, finding.severity) == (cause, "web1", "outage")
    assert finding.fix is not None
    assert finding.fix.automatic is automatic


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:8000 (Stream)", "[::]:8000 (Stream)", "/x (Stream)\n0.0.0.0:8000 (Stream)"]
)
def test_ports_are_held_by_socket_units_too(listen: str) -> None:
    record = activated(TCP, socket={"raw": {"Listen": listen}})
    assert named(record) == [("socket_unit_failed", "web1", "outage")]


def test_the_socket_unit_is_what_gets_started() -> None:
    fix = only(activated(socket={})).fix
    assert fix is not None
    (entry,) = fix.variables["supervision_units"]
    assert (entry["unit"], entry["restart"]) == ("shop.socket", "unchanged")


GAVE_UP = {"active_state": "failed", "result": "service-start-limit-hit"}
DEAD = {"active_state": "failed", "result": "exit-code", "exit_code": 3}
DYING = {
    "the socket gave up": (GAVE_UP, DEAD, "refused", "gunicorn_boot_error"),
    "it still listens": ({"active_state": "active"}, DEAD, "reset", "gunicorn_boot_error"),
    "it still listens, and nobody answers": ({"active_state": "active"}, DEAD, "timeout", "gunicorn_boot_error"),
    "the command is missing": (GAVE_UP, {**DEAD, "exit_code": 203}, "refused", "app_exec_failed"),
    "no known reason": (GAVE_UP, {**DEAD, "exit_code": 1}, "refused", "app_not_running"),
}


@pytest.mark.parametrize(("socket", "service", "outcome", "cause"), DYING.values(), ids=DYING)
def test_what_the_socket_starts_dies(socket: dict[str, Any], service: dict[str, Any], outcome: str, cause: str) -> None:
    record = activated(socket=socket, service=service, outcome=outcome)
    finding = only(record)
    assert (finding.cause, finding.subject, finding.severity) == (cause, "shop.service", "outage")
    assert finding.fix is not None
    assert not finding.fix.automatic
    assert finding.fix.variables["supervision_units"][0]["unit"] == "shop.socket"


def test_whom_the_socket_does_not_let_in_is_not_the_services_trouble() -> None:
    record = activated(socket={"active_state": "active"}, service=DEAD, outcome="denied")
    assert named(record) == [("socket_permission", "web1", "outage")]
