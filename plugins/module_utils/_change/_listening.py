# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knowing whether a unit runs and listens where its clients expect it."""

from __future__ import annotations

import errno
import socket
import time
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
_PAUSE = 0.3


def settled_state(unit: str, *, timeout: float) -> str:
    """The unit's state once systemd is done with it, or when the time is up."""
    deadline = time.monotonic() + timeout
    while True:
        state = _systemd.properties(unit, "ActiveState")["ActiveState"]
        if state not in _UNSETTLED or time.monotonic() > deadline:
            return state
        time.sleep(_PAUSE)


def missing(endpoints: Sequence[str]) -> list[str]:
    """Those of the endpoints on which nobody listens."""
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


def wait(unit: str, endpoints: Sequence[str], *, timeout: float) -> None:
    """Wait until the unit is active and listens, and is still so a moment later; SystemdError says why it does not.

    systemd calls a `Type=simple` service started before its program runs, and gunicorn reports that it is ready
    before its workers have loaded the application: one good look proves little.
    """
    deadline = time.monotonic() + timeout
    good = 0
    while good < 3:
        state = _systemd.properties(unit, "ActiveState")["ActiveState"]
        silent = missing(endpoints)
        good = good + 1 if state == "active" and not silent else 0
        if state == "failed" or time.monotonic() > deadline:
            raise SystemdError(_trouble(unit, state, silent, timeout=timeout))
        time.sleep(_PAUSE)


def _trouble(unit: str, state: str, silent: Sequence[str], *, timeout: float) -> str:
    where = f" on {', '.join(silent)}" if silent else " steadily"
    trouble = (
        f"after {timeout:g} s it does not listen{where}" if state == "active" else f"it does not come up, it is {state}"
    )
    return f"{unit}: {trouble}; its last journal lines: {' | '.join(_systemd.journal_tail(unit))}"
