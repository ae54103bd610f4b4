# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleets of the demo, as data: what is broken where, and what a client sees before and after."""

from __future__ import annotations

from dataclasses import dataclass

from ._commands import LabError
from ._embedded import EmbeddedFleet
from ._fleet import Fleet, HostSpec


@dataclass(frozen=True)
class Request:
    """A request that a client makes, and the status codes it gets from the broken and from the healed fleet."""

    host: str
    server_name: str
    before: int
    after: int


DEMO_HOSTS = (
    # nginx proxies the shop to a port on which nothing listens; the docs on the same nginx are healthy.
    HostSpec("web1", roles=("nginx", "shop_wrong_port", "docs"), image="debian12"),
    # nginx proxies the API to another host, whose app is stopped, not enabled and not supervised.
    HostSpec("web2", roles=("nginx", "api_proxy"), image="debian13"),
    HostSpec("app1", roles=("api_stopped",), image="debian12"),
    # The blog's app runs, but its socket file was deleted.
    HostSpec("web3", roles=("nginx", "blog_socket_gone"), image="debian13"),
)

REQUESTS = {
    "demo": (
        Request("web1", "shop.example", before=502, after=200),
        Request("web1", "docs.example", before=200, after=200),
        Request("web2", "api.example", before=502, after=200),
        Request("web3", "blog.example", before=502, after=200),
    ),
    "embedded": (
        Request("web1", "shop.example", before=502, after=200),
        Request("web1", "docs.example", before=200, after=200),
        Request("web2", "wiki.example", before=200, after=200),
        # Without systemd nobody knows how to start the app that is down, so this one is named, not healed.
        Request("web3", "blog.example", before=502, after=502),
    ),
}


def declared_fleet(name: str) -> Fleet | EmbeddedFleet:
    """A fleet of the demo, ready for `up`."""
    if name == "demo":
        return Fleet("demo", DEMO_HOSTS)
    if name == "embedded":
        return EmbeddedFleet()
    raise LabError(f"{name} is not a declared fleet; say which hosts it has, or use one of: {', '.join(REQUESTS)}")


def open_fleet(name: str) -> Fleet | EmbeddedFleet:
    """A fleet that is up, whichever kind it is."""
    return EmbeddedFleet.attach() if name == "embedded" else Fleet.attach(name)
