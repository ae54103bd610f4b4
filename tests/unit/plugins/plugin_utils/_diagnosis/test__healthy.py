# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Healthy fleets of many shapes: nobody is called for any of them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    endpoint,
    host_capacity,
    listener,
    log_event,
    network,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    socket_file,
    stopped,
    stopped_app,
    unit,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    SOCKET,
    TCP,
    WIDE,
    back,
    findings,
    front,
    journal,
    said,
    site,
)

SECOND = "tcp:127.0.0.1:8001"
TLS = "tcp:app1:8443"
PHP = "unix:/run/php/php8.2-fpm.sock"


def group(*parameters: str, **changes: Any) -> Any:
    """An upstream of two servers; the parameters are those of the second."""
    block = upstream("shop", TCP, SECOND, parameters={SECOND: list(parameters)})
    return [nginx(route(TCP, SECOND, upstream="shop"), upstreams=[{**block, **changes}])]  # type: ignore[typeddict-item]


def pair(**changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "instances": group(),
        "apps": [app(TCP), app(SECOND, unit="shop-b.service")],
        "units": [unit(), unit("shop-b.service"), nginx_unit()],
    }
    return site(**{**values, **changes})


def socket_activated(**changes: Any) -> HostRecord:
    service = unit(unit_file_state="disabled", triggered_by=["shop.socket"], requires=["shop.socket"])
    values: dict[str, Any] = {
        "units": [unit("shop.socket", raw={"Listen": "/run/shop/shop.sock (Stream)"}), service, nginx_unit()],
        "listeners": [SSHD, listener(SOCKET, unit="shop.socket", process="systemd")],
        "socket_files": [socket_file(SOCKET[5:])],
    }
    return site(SOCKET, **{**values, **changes})


FLEETS: dict[str, list[HostRecord]] = {
    "one nginx, one app": [site()],
    "a unix socket": [site(SOCKET, socket_files=[socket_file(SOCKET[5:])])],
    "two servers": [pair()],
    "connections that are kept": [pair(instances=group(directives=[["keepalive", "32"]]))],
    "a backup server": [pair(instances=group("backup"))],
    "a server that is down on purpose": [
        pair(
            instances=group("down"),
            apps=[app(TCP), stopped_app(SECOND, unit="shop-b.service")],
            units=[unit(), stopped("shop-b.service", unit_file_state="disabled"), nginx_unit()],
            probes=[probe(TCP), probe(SECOND, "refused")],
        )
    ],
    "TLS to another host": [
        front(
            "answered",
            instances=[nginx(route(TLS, target="https://app1:8443"))],
            endpoints=[endpoint(TLS, addresses=["10.0.0.2"], protocol="https")],
            probes=[probe(TLS, protocol="https")],
        ),
        back(apps=[app("tcp:0.0.0.0:8443")]),
    ],
    "a name in a variable, with a resolver": [
        site(
            instances=[
                nginx(
                    route(endpoints=[], variables=True, target="http://$backend"),
                    settings={"resolver": [["127.0.0.53"]]},
                )
            ],
            log=[log_event("tcp:10.0.0.9:8000")],
        )
    ],
    "socket activation, the app asleep": [
        socket_activated(
            apps=[stopped_app(SOCKET)],
            units=[
                unit("shop.socket", raw={"Listen": "/run/shop/shop.sock (Stream)"}),
                stopped(unit_file_state="disabled", triggered_by=["shop.socket"]),
                nginx_unit(),
            ],
        )
    ],
    "socket activation, the app awake": [socket_activated()],
    "two nginx on one host": [
        site(
            instances=[
                nginx(route(), id="a", config="/etc/nginx/a.conf"),
                nginx(route(SECOND), id="b", config="/etc/nginx/b.conf", unit="nginx-b.service"),
            ],
            apps=[app(TCP), app(SECOND, unit="shop-b.service")],
            units=[unit(), unit("shop-b.service"), nginx_unit(), nginx_unit("nginx-b.service")],
            probes=[probe(TCP, instance="a"), probe(SECOND, instance="b")],
        )
    ],
    "PHP-FPM": [
        site(
            PHP,
            instances=[nginx(route(PHP, directive="fastcgi_pass", target=PHP, location="~ [.]php"))],
            apps=[app(PHP, kind="php-fpm", unit="php8.2-fpm.service")],
            units=[unit("php8.2-fpm.service", restart="on-failure"), nginx_unit()],
            endpoints=[endpoint(PHP, protocol="fastcgi")],
            probes=[probe(PHP, protocol="fastcgi", detail="FastCGI END_REQUEST")],
            socket_files=[socket_file(PHP[5:])],
        )
    ],
    "Lua that answers by itself": [site(instances=[nginx()], apps=[], units=[nginx_unit()])],
    "an app in a container, its port published": [
        site(
            apps=[app(TCP, unit="docker-1.scope", kind="other")],
            units=[nginx_unit()],
            listeners=[
                SSHD,
                listener(TCP, unit="docker.service", process="docker-proxy"),
                listener(WIDE, unit="docker-1.scope", network_namespace="net:[9]"),
            ],
        )
    ],
    "firewalls that drop everything else": [
        front("answered"),
        back(
            network=network(
                filters=[
                    {
                        "tool": "nftables",
                        "where": "inet filter input",
                        "rule": "tcp dport 5432 drop",
                        "verdict": "drop",
                        "endpoints": [],
                        "user": None,
                        "certain": True,
                        "packets": 99,
                    }
                ]
            )
        ),
    ],
    "SELinux, which lets nginx pass": [
        site(
            capacity=host_capacity(
                selinux="enforcing",
                denials=[
                    {
                        "module": "selinux",
                        "process": "cupsd",
                        "permission": "name_connect",
                        "target": "8000",
                        "count": 1,
                        "last": "",
                        "sample": "avc: denied",
                    }
                ],
            )
        )
    ],
    "many restarts, all long ago": [
        site(units=[unit(restarts=20, active_since="Mon 2026-11-16 03:00:00 UTC"), nginx_unit()])
    ],
    "a journal full of old trouble": [
        site(
            units=[unit(active_since="Sat 2026-11-21 02:00:00 UTC"), nginx_unit()],
            journals=[
                journal(
                    said("gunicorn_boot_error", last="2026/11/20 12:00:00"),
                    said("systemd_start_limit", last="2026/11/20 12:00:00"),
                    said("no_space_left", last="2026/11/20 12:00:00"),
                )
            ],
        )
    ],
    "queues that overflowed once, for somebody else": [site(network=network(listen_overflows=3))],
    "a busy queue": [site(listeners=[SSHD, listener(TCP, queued=40, backlog=2048)])],
    "ports in use, and answers": [
        site(
            network=network(
                sysctls={"net.ipv4.ip_local_port_range": "32768 60999"},
                connections=[
                    {"address": "127.0.0.1:8000", "established": 10, "syn_sent": 0, "time_wait": 900, "close_wait": 0}
                ],
            )
        )
    ],
    "a full disk that nobody notices": [
        site(
            capacity=host_capacity(
                filesystems=[
                    {
                        "mount": "/mnt/image",
                        "paths": [],
                        "size": 10,
                        "free": 0,
                        "inodes": 0,
                        "inodes_free": 0,
                        "read_only": True,
                    }
                ]
            )
        )
    ],
    "a group of hosts": [
        front("answered"),
        back(apps=[app(WIDE), app("tcp:0.0.0.0:8443", unit="b.service")], units=[unit(), unit("b.service")]),
        seen(
            "web2",
            addresses=["10.0.0.3"],
            instances=[nginx(route(TLS))],
            endpoints=[endpoint(TLS, addresses=["10.0.0.2"])],
        ),
    ],
}


@pytest.mark.parametrize("records", FLEETS.values(), ids=FLEETS)
def test_nobody_is_called(records: list[HostRecord]) -> None:
    assert [each.id for each in findings(*records) if each.severity != "risk"] == []


@pytest.mark.parametrize("records", FLEETS.values(), ids=FLEETS)
def test_nothing_is_done_unasked_but_what_prevents(records: list[HostRecord]) -> None:
    automatic = {each.cause for each in findings(*records) if each.fix is not None and each.fix.automatic}
    assert automatic <= {"app_not_supervised", "app_not_enabled"}
