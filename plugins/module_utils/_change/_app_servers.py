# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app servers behind addresses of this host, looked for when the first address is asked about."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import Callable, Collection, Sequence, Tuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import Address, parse_address
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, EndpointKey
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._host import own_addresses
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_ANYWHERE = ("0.0.0.0", "::", "*")  # noqa: S104 - compared with, never bound to

Seen = Tuple[Sequence[AppServer], Collection[str]]  # app servers, and the host's addresses


def _look() -> Seen:
    # Most changes ask about no address; they need not load what knows every kind of app server.
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import (  # noqa: PLC0415
        find_app_servers,
    )
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around  # noqa: PLC0415

    notes = Notes()  # what was not seen is not found, and whoever asks says that nothing is known
    around = look_around(notes=notes)
    apps = find_app_servers(table=around.table, units=around.units, listeners=around.listeners, notes=notes)
    return apps, own_addresses(notes)


class AppServers:
    """Those of one host."""

    def __init__(self, look: Callable[[], Seen] = _look) -> None:
        self._look = look

    @cached_property
    def _seen(self) -> Seen:
        return self._look()

    def behind(self, address: Address) -> AppServer | None:
        """The one that answers there; None also when the address is another host's, or a name."""
        apps, own = self._seen
        return next(
            (app for app in apps if any(_leads_to(address, key, own) for key in app["listens"] or app["binds"])), None
        )


NOWHERE = AppServers(lambda: ((), ()))


def _leads_to(address: Address, key: EndpointKey, own: Collection[str]) -> bool:
    if address.path is not None or key.startswith("unix:"):
        return address.key == key
    listener = parse_address(key[len("tcp:") :])
    host, listens = address.host or "", listener.host or ""
    if address.port != listener.port or not (_is_loopback(host) or host in own):
        return False
    return listens in (host, *_ANYWHERE) or (host == "localhost" and _is_loopback(listens))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
