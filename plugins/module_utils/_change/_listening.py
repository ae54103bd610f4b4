# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seeing to it that a unit runs and listens where its clients expect it."""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    AddressError,
    parse_address,
)

#: States in which systemd is still at work on a unit: not the moment to judge or to restart it.
_UNSETTLED = ("activating", "deactivating", "reloading")

_CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Listening:
    """What became of the unit."""

    changed: bool
    action: str  # "none", "start" or "restart": what was done, or would be done in check mode
    missing: list[str]  # endpoints where the unit does not listen yet: only ever filled in check mode


def ensure(*, unit: str, endpoints: Sequence[str], timeout: float, check_mode: bool) -> Listening:
    """Start the unit when it does not run; restart it once when it runs and does not listen; wait until it does."""
    _systemd.require_loaded(unit)
    state = _settled_state(unit, timeout=timeout)
    missing = _missing(endpoints)
    if state == "active" and not missing:
        return Listening(changed=False, action="none", missing=[])
    action = "restart" if state == "active" else "start"
    if not check_mode:
        _systemctl(action, unit)
        _wait(unit, endpoints, timeout=timeout)
    return Listening(changed=True, action=action, missing=missing if check_mode else [])


def _settled_state(unit: str, *, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    while True:
        state = _systemd.properties(unit, "ActiveState")["ActiveState"]
        if state not in _UNSETTLED or time.monotonic() > deadline:
            return state
        time.sleep(0.2)


def _missing(endpoints: Sequence[str]) -> list[str]:
    return [endpoint for endpoint in endpoints if not listens(endpoint)]


def listens(endpoint: str) -> bool:
    """Connect, and tell whether somebody listens there; SystemdError when the endpoint cannot be read as one.

    Only a refusal or a missing file is a "no". A full queue or a dropped packet leaves the answer open, and an app
    server that is merely busy must not be restarted for it.
    """
    for family, address in _addresses(endpoint):
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            failure = connection.connect_ex(address)
            if failure not in (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTDIR):
                return True
    return False


def _addresses(endpoint: str) -> list[tuple[int, Any]]:
    try:
        address = parse_address(endpoint[len("tcp:") :] if endpoint.startswith("tcp:") else endpoint)
        if address.path is not None:
            return [(socket.AF_UNIX, address.path)]
        # Connecting to "all addresses" leads to the loopback.
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (AddressError, OSError) as error:
        raise SystemdError(f"{endpoint}: {error}; write it as tcp:HOST:PORT or unix:/PATH") from error
    return [(answer[0], answer[4]) for answer in found]


def _systemctl(action: str, unit: str) -> None:
    if action == "start":
        # A unit that gave up after too many starts refuses the next one until its counter is cleared.
        _systemd.run(["systemctl", "reset-failed", "--", unit])
    answer = _systemd.run(["systemctl", action, "--", unit])
    if answer.status != 0:
        raise SystemdError(_with_journal(unit, f"systemctl {action} failed: {answer.stderr.strip()}"))


def _wait(unit: str, endpoints: Sequence[str], *, timeout: float) -> None:
    """Wait until the unit is active and listens, and is still so a moment later.

    systemd calls a `Type=simple` service started before its program runs, and gunicorn reports that it is ready
    before its workers have loaded the application: one good look proves little.
    """
    deadline = time.monotonic() + timeout
    good = 0
    while good < 3:
        state = _systemd.properties(unit, "ActiveState")["ActiveState"]
        missing = _missing(endpoints)
        good = good + 1 if state == "active" and not missing else 0
        if time.monotonic() > deadline:
            trouble = f"does not listen on {', '.join(missing)}" if state == "active" else f"is {state}"
            raise SystemdError(_with_journal(unit, f"after {timeout:g} s it {trouble}"))
        time.sleep(0.3)


def _with_journal(unit: str, trouble: str) -> str:
    return f"{unit}: {trouble}; its last journal lines: " + " | ".join(_systemd.journal_tail(unit))
