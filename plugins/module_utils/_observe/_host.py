# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host itself: its name, addresses, boot and network namespace."""

from __future__ import annotations

import ipaddress
import os
import platform
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import namespace_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import HostInfo

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def own_addresses(notes: Notes) -> list[str]:
    try:
        return _netlink.interface_addresses()
    except OSError as error:
        notes.miss("addresses of this host (netlink)", error)
        return []


def is_local(address: str, own: set[str]) -> bool:
    """Whether this host, which has these addresses of its own, is at the other end."""
    return address in own or ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _boot_id(notes: Notes) -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError as error:
        notes.miss(str(_BOOT_ID), error)
        return ""


def _network_namespace(notes: Notes) -> str:
    try:
        return namespace_of("self", "net")
    except OSError as error:
        notes.miss("network namespace of this process", error)
        return ""


def read_host(*, systemd: bool, notes: Notes) -> HostInfo:
    return {
        "hostname": socket.gethostname(),
        "addresses": own_addresses(notes),
        "boot_id": _boot_id(notes),
        "network_namespace": _network_namespace(notes),
        "local_time": local_time(time.time()),
        "python": platform.python_version(),
        "uid": os.geteuid(),
        "systemd": systemd,
    }
