# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets, and what the diagnosis makes of them."""

from __future__ import annotations

from typing import Any, Mapping

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    endpoint,
    fleet,
    listener,
    log_event,
    message,
    nginx,
    nginx_t,
    nginx_unit,
    probe,
    route,
    seen,
    socket_file,
    stopped,
    stopped_app,
    unit,
    unreachable,
    upstream,
)

RIGHT = "tcp:127.0.0.1:8000"
WRONG = "tcp:127.0.0.1:8001"
OTHER = "tcp:127.0.0.1:9000"
PATIENT = upstream("shop", RIGHT, OTHER, parameters={RIGHT: ["max_fails=3"], OTHER: ["max_fails=3"]})
REMOTE = "tcp:app1:8000"
SOCKET = "unix:/run/shop/shop.sock"
AT_APP1 = endpoint(REMOTE, addresses=["10.0.0.2"])
WIDE = "tcp:0.0.0.0:8000"


def healthy(**changes: Any) -> HostRecord:
    values: dict[str, Any] = {"instances": [nginx(route())], "apps": [app()], "units": [unit(), nginx_unit()]}
    return seen("web1", **{**values, **changes})


def wrong_port(**changes: Any) -> HostRecord:
    """nginx asks 8001, gunicorn listens on 8000, a healthy site shares the nginx."""
    values: dict[str, Any] = {
        "instances": [nginx(route(WRONG), route(OTHER, location="/blog", line=30))],
        "apps": [app(RIGHT), app(OTHER, unit="blog.service")],
        "units": [unit(), unit("blog.service"), nginx_unit()],
        "probes": [probe(WRONG, "refused"), probe(OTHER), probe(RIGHT)],
    }
    return seen("web1", **{**values, **changes})


def wrong_port_beside(jobs: Unit) -> HostRecord:
    """The same, and a unit of which nobody knows where it listens."""
    return wrong_port(
        apps=[app(RIGHT), app(OTHER, unit="blog.service"), stopped_app(None, kind="other", unit=jobs["name"])],
        units=[unit(), unit("blog.service"), jobs, nginx_unit()],
    )


def remote_nginx(outcome: str = "refused", **changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "addresses": ["10.0.0.1"],
        "instances": [nginx(route(REMOTE))],
        "units": [nginx_unit()],
        "endpoints": [AT_APP1],
        "probes": [probe(REMOTE, outcome)],
    }
    return seen("web1", **{**values, **changes})


def remote_app(**changes: Any) -> HostRecord:
    return seen("app1", **{"addresses": ["10.0.0.2"], "apps": [app(WIDE)], "units": [unit()], **changes})


def stopped_remote_app(**changes: Any) -> HostRecord:
    down = stopped(restart="no", unit_file_state="disabled")
    return remote_app(**{"apps": [stopped_app(WIDE)], "units": [down], **changes})


def unlinked(**changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "instances": [nginx(route(SOCKET))],
        "apps": [app(SOCKET)],
        "units": [unit(), nginx_unit()],
        "probes": [probe(SOCKET, "missing")],
        "listeners": [listener(SOCKET, file_exists=False)],
        "socket_files": [socket_file(SOCKET[5:], exists=False)],
    }
    return seen("web1", **{**values, **changes})


def found(records: Mapping[str, HostRecord]) -> list[tuple[str, str, str, bool | None]]:
    """Cause, host, severity, and whether the fix is automatic (None: there is none)."""
    return [
        (each.cause, each.host, each.severity, each.fix.automatic if each.fix else None)
        for each in diagnose(records).findings
    ]


HEALTHY = {
    "nginx and gunicorn": [healthy()],
    "static files only": [healthy(instances=[nginx()], apps=[], units=[nginx_unit()])],
    "an app host without nginx": [remote_app()],
    "neither nginx nor app": [seen("plain")],
    "nginx here, app there": [remote_nginx("answered"), remote_app()],
    "old log lines about an endpoint that answers": [healthy(log=[log_event(RIGHT)])],
    "a probe that may only connect": [healthy(probes=[probe(RIGHT, "connected")])],
    "probes off": [healthy(probes=[probe(RIGHT, "not_probed")])],
    "probes off, wildcard": [healthy(apps=[app("tcp:[::]:8000")], probes=[])],
    "probes off, listeners unknown": [healthy(apps=[], listeners=[], probes=[])],
    "probes off, foreign host": [remote_nginx("not_probed")],
    "a server that is marked down": [
        healthy(
            instances=[
                nginx(
                    route(RIGHT, WRONG, upstream="shop"),
                    upstreams=[upstream("shop", RIGHT, WRONG, parameters={WRONG: ["down"]})],
                )
            ],
            probes=[probe(RIGHT), probe(WRONG, "refused")],
        )
    ],
    "one of a name's addresses is dead": [
        healthy(
            instances=[nginx(route("tcp:backend:8000"))],
            endpoints=[endpoint("tcp:backend:8000", addresses=["::1", "127.0.0.1"])],
            probes=[probe("tcp:backend:8000", "refused", address="[::1]:8000"), probe("tcp:backend:8000")],
        )
    ],
    "a target with variables": [healthy(instances=[nginx(route(endpoints=[], variables=True, target="http://$app"))])],
    "nginx switched off on purpose": [
        wrong_port(
            instances=[nginx(route(WRONG), running=False)],
            units=[unit(), nginx_unit(active_state="inactive", unit_file_state="disabled")],
        )
    ],
    "nginx of that config started by hand": [
        healthy(instances=[nginx(route(), unit=None), nginx(route(), id="unit", running=False)])
    ],
    "restarted on failure": [healthy(units=[unit(restart="on-failure"), nginx_unit()])],
    "started by its socket": [
        healthy(units=[unit(restart="no", unit_file_state="disabled", triggered_by=["shop.socket"]), nginx_unit()])
    ],
    "started by nginx's unit": [
        healthy(units=[unit(unit_file_state="disabled"), nginx_unit(wants=["shop.service"], after=["shop.service"])])
    ],
    "an app that a container engine runs": [
        healthy(apps=[app(unit=None)], listeners=[SSHD, listener(RIGHT, unit="docker-1f2e.scope")])
    ],
    "an app of a user's own manager": [
        healthy(apps=[app(unit=None)], listeners=[SSHD, listener(RIGHT, unit="user@1000.service")])
    ],
    "no systemd, so no units": [healthy(apps=[app(unit=None)], units=[], info={"systemd": False})],
    "an owner that could not be seen": [healthy(apps=[app(unit=None, pids=[])])],
    "an unsupervised app that no route uses": [
        healthy(apps=[app(), app(OTHER, unit="blog.service")], units=[unit(), unit("blog.service", restart="no")])
    ],
    "warnings of nginx -t": [
        healthy(
            instances=[
                nginx(route(), test={"ran": True, "ok": True, "why": "", "messages": [message("x", level="warn")]})
            ]
        )
    ],
    "nginx -t not allowed, config read": [
        healthy(instances=[nginx(route(), test={"ran": False, "ok": False, "why": "not root", "messages": []})])
    ],
}


@pytest.mark.parametrize("records", HEALTHY.values(), ids=HEALTHY)
def test_nothing_is_wrong(records: list[HostRecord]) -> None:
    diagnosis = diagnose(fleet(*records))
    assert [each.id for each in diagnosis.findings] == []
    assert diagnosis.plans == {}


BROKEN = {
    # -- the situations of the demo
    "wrong port beside a healthy site": ([wrong_port()], [("wrong_upstream_address", "web1", "outage", True)]),
    "app on another host stopped, unsupervised, disabled": (
        [remote_nginx(), stopped_remote_app()],
        [("app_not_running", "app1", "outage", True)],
    ),
    "socket file gone": ([unlinked()], [("socket_missing", "web1", "outage", True)]),
    # -- app_not_running
    "app stopped beside nginx": (
        [healthy(apps=[stopped_app()], units=[stopped(), nginx_unit()], probes=[probe(RIGHT, "refused")])],
        [("app_not_running", "web1", "outage", True)],
    ),
    "app stopped, its socket gone with it": (
        [unlinked(apps=[stopped_app(SOCKET)], units=[stopped(), nginx_unit()], listeners=[SSHD])],
        [("app_not_running", "web1", "outage", True)],
    ),
    "app stopped, probes off": (
        [healthy(apps=[stopped_app()], units=[stopped(), nginx_unit()], probes=[])],
        [("app_not_running", "web1", "outage", True)],
    ),
    "app killed, its socket file stale": (
        [
            unlinked(
                apps=[stopped_app(SOCKET)],
                units=[stopped(active_state="failed"), nginx_unit()],
                listeners=[SSHD],
                probes=[probe(SOCKET, "refused")],
                socket_files=[socket_file(SOCKET[5:], listening=False)],
            )
        ],
        [("socket_stale", "web1", "outage", True)],
    ),
    "app's unit masked": (
        [remote_nginx(), stopped_remote_app(units=[stopped(load_state="masked")])],
        [("app_not_running", "app1", "outage", False)],
    ),
    "app starts and dies": (
        [remote_nginx(), stopped_remote_app(units=[stopped(active_state="activating", restarts=7)])],
        [("app_crash_loop", "app1", "outage", False)],
    ),
    "two stopped units for one port": (
        [
            remote_nginx(),
            stopped_remote_app(
                apps=[stopped_app(WIDE), stopped_app(WIDE, unit="old.service")],
                units=[stopped(), stopped("old.service")],
            ),
        ],
        [("app_not_running", "app1", "outage", False)],
    ),
    "two stopped units for one port, one enabled": (
        [
            remote_nginx(),
            stopped_remote_app(
                apps=[stopped_app(WIDE), stopped_app(WIDE, unit="old.service")],
                units=[stopped(), stopped("old.service", unit_file_state="disabled")],
            ),
        ],
        [("app_not_running", "app1", "outage", True)],
    ),
    "a stopped app whose port is not known": (
        [remote_nginx(), stopped_remote_app(apps=[stopped_app(None, kind="node")])],
        [("app_not_running", "app1", "outage", False)],
    ),
    "one of two servers down": (
        [
            healthy(
                instances=[nginx(route(RIGHT, OTHER, upstream="shop"), upstreams=[PATIENT])],
                apps=[app(), stopped_app(OTHER, unit="blog.service")],
                units=[unit(), stopped("blog.service"), nginx_unit()],
                probes=[probe(RIGHT), probe(OTHER, "refused")],
            )
        ],
        [("app_not_running", "web1", "risk", True)],
    ),
    "one of two units for a port is active, and does not listen": (
        [
            remote_nginx(),
            remote_app(
                apps=[app(WIDE, listens=[]), stopped_app(WIDE, unit="old.service")],
                units=[unit(), stopped("old.service")],
            ),
        ],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "app stopped, but another process has its port": (
        [remote_nginx(), stopped_remote_app(listeners=[SSHD, listener(WIDE, unit="thief.service")])],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "app active but deaf, beside a stopped one of unknown port": (
        [
            remote_nginx(),
            remote_app(
                apps=[app(WIDE, listens=[]), stopped_app(None, unit="old.service")],
                units=[unit(), stopped("old.service")],
            ),
        ],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    # -- wrong_upstream_address
    "only a stopped app, set to listen elsewhere": (
        [remote_nginx(), stopped_remote_app(apps=[stopped_app("tcp:0.0.0.0:8080")])],
        [("wrong_upstream_address", "web1", "outage", None)],
    ),
    "refused at a port where an unknown process listens": (
        [wrong_port(listeners=[SSHD, listener(WRONG, unit=None)])],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "a socket of another host is out of reach": (
        [remote_nginx(), remote_app(apps=[app(SOCKET)])],
        [("wrong_upstream_address", "web1", "outage", None)],
    ),
    "two app servers could be meant": (
        [
            wrong_port(
                apps=[app(RIGHT), app("tcp:127.0.0.1:8005", unit="b.service"), app(OTHER, unit="blog.service")],
                probes=[probe(WRONG, "refused"), probe(OTHER), probe(RIGHT), probe("tcp:127.0.0.1:8005")],
            )
        ],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "two dead addresses, one app server": (
        [
            wrong_port(
                instances=[nginx(route(WRONG), route("tcp:127.0.0.1:8002", location="/b", line=20))],
                apps=[app(RIGHT)],
                probes=[probe(WRONG, "refused"), probe("tcp:127.0.0.1:8002", "refused"), probe(RIGHT)],
            )
        ],
        [("wrong_upstream_address", "web1", "outage", False)] * 2,
    ),
    "the app server left speaks another protocol": (
        [
            wrong_port(
                probes=[
                    probe(WRONG, "refused"),
                    probe(OTHER),
                    probe(RIGHT, "mismatch"),
                    probe(RIGHT, protocol="uwsgi"),
                ]
            )
        ],
        [("wrong_upstream_address", "web1", "outage", None)],
    ),
    "a program that nobody recognised": (
        [wrong_port(apps=[app(RIGHT, kind="other"), app(OTHER, unit="blog.service")])],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, seen by a user who may not see whose listeners they are": (
        [
            wrong_port(
                apps=[app(RIGHT, listens=[]), app(OTHER, unit="blog.service", listens=[])],
                listeners=[SSHD, *(listener(key, unit=None, pid=None, process=None) for key in (RIGHT, OTHER))],
                probes=[probe(WRONG, "refused"), probe(OTHER)],
            )
        ],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and an app of unknown address keeps dying": (
        [
            wrong_port(
                apps=[app(RIGHT), app(OTHER, unit="blog.service"), stopped_app(None, kind="node", unit="jobs.service")],
                units=[unit(), unit("blog.service"), stopped("jobs.service", active_state="failed"), nginx_unit()],
            )
        ],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and an app of unknown address is stopped, and is to start at boot": (
        [wrong_port_beside(stopped("jobs.service"))],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and an app of unknown address is switched off": (
        [wrong_port_beside(stopped("jobs.service", unit_file_state="disabled"))],
        [("wrong_upstream_address", "web1", "outage", True)],
    ),
    "an app of unknown address is stopped, whose command names the port": (
        [wrong_port_beside(stopped("jobs.service", exec_start=["/srv/jobs", "--listen=:8001"]))],
        [("app_not_running", "web1", "outage", True)],
    ),
    "an app of unknown address is stopped, whose environment names the port": (
        [wrong_port_beside(stopped("jobs.service", environment={"PORT": "8001"}))],
        [("app_not_running", "web1", "outage", True)],
    ),
    "an app of unknown address is stopped, whose command names a port like it": (
        [wrong_port_beside(stopped("jobs.service", exec_start=["/srv/jobs", "--listen=:18001"]))],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and another proxy may be what the app server is for": (
        [wrong_port(units=[unit(), unit("blog.service"), unit("haproxy.service"), nginx_unit()])],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and what another supervisor starts may be stopped": (
        [wrong_port(units=[unit(), unit("blog.service"), unit("supervisor.service"), nginx_unit()])],
        [("wrong_upstream_address", "web1", "outage", False)],
    ),
    "wrong port, and another supervisor that does not run": (
        [wrong_port(units=[unit(), unit("blog.service"), stopped("supervisor.service"), nginx_unit()])],
        [("wrong_upstream_address", "web1", "outage", True)],
    ),
    "an init script's unit, and what it started has ended": (
        [
            wrong_port(
                instances=[nginx(route(RIGHT))],
                apps=[stopped_app(RIGHT)],
                units=[unit(sub_state="exited", unit_file_state="generated"), nginx_unit()],
                probes=[probe(RIGHT, "refused")],
            )
        ],
        [("app_not_running", "web1", "outage", True)],
    ),
    "wrong port, probes off": ([wrong_port(probes=[])], [("wrong_upstream_address", "web1", "outage", False)]),
    "no app server anywhere": (
        [wrong_port(instances=[nginx(route(WRONG))], apps=[], units=[nginx_unit()], probes=[probe(WRONG, "refused")])],
        [("wrong_upstream_address", "web1", "outage", None)],
    ),
    "wrong socket path": (
        [
            unlinked(
                apps=[app("unix:/run/shop.sock")],
                listeners=None,
                probes=[probe(SOCKET, "missing"), probe("unix:/run/shop.sock")],
            )
        ],
        [("wrong_upstream_address", "web1", "outage", True)],
    ),
    "wrong port of another host": (
        [remote_nginx(), remote_app(apps=[app("tcp:0.0.0.0:8080")])],
        [("wrong_upstream_address", "web1", "outage", True)],
    ),
    "two nginx hosts with the same wrong port": (
        [
            remote_nginx(),
            seen("web2", instances=[nginx(route(REMOTE))], endpoints=[AT_APP1], probes=[probe(REMOTE, "refused")]),
            remote_app(apps=[app("tcp:0.0.0.0:8080")]),
        ],
        [("wrong_upstream_address", "web1", "outage", True), ("wrong_upstream_address", "web2", "outage", True)],
    ),
    "the remote app listens for its own host only": (
        [remote_nginx(), remote_app(apps=[app(RIGHT)])],
        [("netns_or_interface_mismatch", "app1", "outage", None)],
    ),
    "wrong port, and the right app is not supervised": (
        [wrong_port(units=[unit(restart="no"), unit("blog.service"), nginx_unit()])],
        [("wrong_upstream_address", "web1", "outage", True), ("app_not_supervised", "web1", "risk", True)],
    ),
    # -- socket_missing
    "socket gone, its owner not seen": (
        [unlinked(apps=[app(SOCKET, unit=None)], listeners=[listener(SOCKET, unit=None, file_exists=False)], units=[])],
        [("socket_missing", "web1", "outage", None), ("app_not_supervised", "web1", "risk", None)],
    ),
    "socket gone, who listens not seen, but who should": (
        [unlinked(listeners=[listener(SOCKET, unit=None, file_exists=False)])],
        [("socket_missing", "web1", "outage", True)],
    ),
    "socket there, but not for nginx": (
        [unlinked(listeners=None, socket_files=[socket_file(SOCKET[5:])])],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "socket gone, probes off": ([unlinked(probes=[])], [("socket_missing", "web1", "outage", True)]),
    "socket written as /var/run": (
        [unlinked(apps=[app("unix:/var/run/shop/shop.sock")])],
        [("socket_missing", "web1", "outage", True)],
    ),
    "socket in the unit's private /tmp": (
        [
            unlinked(
                instances=[nginx(route("unix:/tmp/shop.sock"))],
                apps=[app("unix:/tmp/shop.sock")],
                units=[unit(raw={"PrivateTmp": "yes"}), nginx_unit()],
                listeners=[listener("unix:/tmp/shop.sock", file_exists=False)],
                probes=[probe("unix:/tmp/shop.sock", "missing")],
                socket_files=[socket_file("/tmp/shop.sock", exists=False)],
            )
        ],
        [("socket_hidden_by_private_tmp", "web1", "outage", None)],
    ),
    # -- nginx itself
    "a name that does not resolve": (
        [
            healthy(
                instances=[
                    nginx(route("tcp:nowhere:80"), test=nginx_t(message('host not found in upstream "nowhere"')))
                ],
                endpoints=[endpoint("tcp:nowhere:80", addresses=[], resolve_error="Name or service not known")],
                probes=[probe("tcp:nowhere:80", "unresolved", phase="resolve", address="")],
            )
        ],
        [("startup_host_not_found", "web1", "outage", False)],
    ),
    "a name that does not resolve, probes off": (
        [
            healthy(
                instances=[nginx(route("tcp:nowhere:80"))],
                endpoints=[endpoint("tcp:nowhere:80", addresses=[], resolve_error="Name or service not known")],
                probes=[],
            )
        ],
        [("startup_host_not_found", "web1", "outage", False)],
    ),
    "a name that nginx -t did not find and the probe did": (
        [healthy(instances=[nginx(route(), test=nginx_t(message('host not found in upstream "127.0.0.1:8000"')))])],
        [("startup_host_not_found", "web1", "risk", None)],
    ),
    "a name that keeps nginx from starting": (
        [
            healthy(
                instances=[nginx(route(), running=False, test=nginx_t(message('host not found in upstream "a:80"')))]
            )
        ],
        [("startup_host_not_found", "web1", "outage", None)],
    ),
    "invalid config, nginx runs": (
        [healthy(instances=[nginx(route(), test=nginx_t(message('unknown directive "proxy_pas"')))])],
        [("nginx_config_invalid", "web1", "risk", None)],
    ),
    "invalid config, nginx is down": (
        [healthy(instances=[nginx(running=False, test=nginx_t(message('unknown directive "proxy_pas"')))])],
        [("nginx_config_invalid", "web1", "outage", None)],
    ),
    "nginx -t not allowed, config not readable": (
        [
            healthy(
                instances=[
                    nginx(
                        test={"ran": False, "ok": False, "why": "not root", "messages": []},
                        config_readable=False,
                        config_errors=[message("unexpected end of file")],
                    )
                ]
            )
        ],
        [("nginx_config_invalid", "web1", "risk", None)],
    ),
    "nginx -t fails without a word": (
        [healthy(instances=[nginx(route(), test={"ran": True, "ok": False, "why": "", "messages": []})])],
        [("nginx_config_invalid", "web1", "risk", None)],
    ),
    "nginx is down": (
        [healthy(instances=[nginx(route(), running=False)], units=[unit(), nginx_unit(active_state="inactive")])],
        [("nginx_not_running", "web1", "outage", True)],
    ),
    "one nginx of two is down, a route of the other broken": (
        [
            wrong_port(
                instances=[
                    nginx(route(WRONG), id="nginx@/etc/nginx/nginx.conf"),
                    nginx(
                        route(OTHER),
                        id="nginx@/etc/nginx-b/nginx.conf",
                        config="/etc/nginx-b/nginx.conf",
                        unit="nginx-b.service",
                        running=False,
                    ),
                ],
                units=[
                    unit(),
                    unit("blog.service"),
                    nginx_unit(),
                    nginx_unit("nginx-b.service", active_state="failed"),
                ],
            )
        ],
        [("nginx_not_running", "web1", "outage", True), ("wrong_upstream_address", "web1", "outage", True)],
    ),
    # -- advice
    "not supervised": (
        [healthy(units=[unit(restart="no"), nginx_unit()])],
        [("app_not_supervised", "web1", "risk", True)],
    ),
    "not followed, as what an old init script starts": (
        [
            healthy(
                units=[
                    unit(restart="no", raw={"Type": "forking", "PIDFile": "", "GuessMainPID": "no"}),
                    nginx_unit(),
                ]
            )
        ],
        [("app_not_supervised", "web1", "risk", False)],
    ),
    "supervised no more, by somebody's decision": (
        [healthy(units=[unit(restart="no", unrevived_by="/etc/shop.service.d/override.conf"), nginx_unit()])],
        [("app_not_supervised", "web1", "risk", False)],
    ),
    "supervised in name only": (
        [healthy(units=[unit(restart="on-success"), nginx_unit()])],
        [("app_not_supervised", "web1", "risk", True)],
    ),
    "not enabled, on another host": (
        [remote_nginx("answered"), remote_app(units=[unit(unit_file_state="disabled")])],
        [("app_not_enabled", "app1", "risk", True)],
    ),
    "not enabled, wanted by what is not enabled itself": (
        [
            healthy(
                units=[unit(unit_file_state="disabled"), nginx_unit(wants=["shop.service"], unit_file_state="disabled")]
            )
        ],
        [("app_not_enabled", "web1", "risk", True)],
    ),
    "started by hand": ([healthy(apps=[app(unit=None)])], [("app_not_supervised", "web1", "risk", None)]),
    "started in a login session": (
        [healthy(apps=[app(unit=None)], listeners=[SSHD, listener(RIGHT, unit="session-4.scope")])],
        [("app_not_supervised", "web1", "risk", None)],
    ),
    # -- everything else
    "permission denied": (
        [unlinked(probes=[probe(SOCKET, "denied")], listeners=None, socket_files=[socket_file(SOCKET[5:])])],
        [("socket_permission", "web1", "outage", None)],
    ),
    "connect times out": (
        [remote_nginx("timeout"), remote_app()],
        [("firewall_drop", "web1", "outage", None)],
    ),
    "slow answer": (
        [healthy(probes=[probe(RIGHT, "timeout", phase="read", milliseconds=60_000)])],
        [("app_slow", "web1", "intermittent", None)],
    ),
    "refused although something listens": (
        [healthy(probes=[probe(RIGHT, "refused")])],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "active but not listening": (
        [healthy(apps=[app(listens=[])], probes=[probe(RIGHT, "refused")])],
        [("endpoint_not_answering", "web1", "outage", None)],
    ),
    "the app's host could not be looked at": (
        [remote_nginx("timeout"), unreachable("app1")],
        [("upstream_host_unreachable", "web1", "outage", None)],
    ),
    "a host outside the fleet": ([remote_nginx()], [("endpoint_not_answering", "web1", "outage", None)]),
}


@pytest.mark.parametrize(("records", "expected"), BROKEN.values(), ids=BROKEN)
def test_the_cause_is_named(records: list[HostRecord], expected: list[tuple[str, str, str, bool | None]]) -> None:
    assert found(fleet(*records)) == expected


SUPERVISED = {
    "unit": "shop.service",
    "enabled": True,
    "restart": "unchanged",
    "listens": [RIGHT],
    "nginx_dependency": "none",
}
AFTER_SHOP = nginx_unit(after=["shop.service"], wants=["shop.service"])
DOWN = {"apps": [stopped_app()], "probes": [probe(RIGHT, "refused")]}
AT = {"file": "/etc/nginx/sites-enabled/shop", "line": 12}


def corrected(records: list[HostRecord], host: str = "web1") -> Any:
    return diagnose(fleet(*records)).plans[host]


SUPERVISION = {
    "nginx's unit knows it already": ([healthy(**DOWN, units=[stopped(), AFTER_SHOP])], [SUPERVISED]),
    "nginx has no other route": (
        [healthy(**DOWN, units=[stopped(), nginx_unit()])],
        [{**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "requires"}],
    ),
    "nginx has another route": (
        [
            healthy(
                instances=[nginx(route(), route(OTHER, location="/blog"))],
                apps=[stopped_app(), app(OTHER, unit="blog.service")],
                probes=[probe(RIGHT, "refused"), probe(OTHER)],
                units=[stopped(), unit("blog.service"), nginx_unit()],
            )
        ],
        [{**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "wants"}],
    ),
    "nginx has a route whose target is not known": (
        [
            healthy(
                **DOWN,
                instances=[nginx(route(), route(location="/v", endpoints=[], variables=True))],
                units=[stopped(), nginx_unit()],
            )
        ],
        [{**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "wants"}],
    ),
    "not supervised": (
        [healthy(**DOWN, units=[stopped(restart="no"), AFTER_SHOP])],
        [{**SUPERVISED, "restart": "always"}],
    ),
    "nginx wants it, but does not wait for it": (
        [healthy(**DOWN, units=[stopped(), nginx_unit(after=[], wants=["shop.service"])])],
        [{**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "requires"}],
    ),
    "nginx has a route to a unit of that name elsewhere": (
        [
            healthy(
                **{**DOWN, "probes": [probe(RIGHT, "refused"), probe(REMOTE)]},
                instances=[nginx(route(), route(REMOTE, location="/b"))],
                endpoints=[AT_APP1],
                units=[stopped(), nginx_unit()],
            ),
            remote_app(),
        ],
        [{**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "wants"}],
    ),
    "two nginx on the host": (
        [
            healthy(
                **DOWN,
                instances=[nginx(route()), nginx(route(), id="b", config="/b.conf", unit="nginx-b.service")],
                units=[stopped(), nginx_unit(), nginx_unit("nginx-b.service")],
            )
        ],
        [
            {**SUPERVISED, "nginx_unit": "nginx-b.service", "nginx_dependency": "requires"},
            {**SUPERVISED, "nginx_unit": "nginx.service", "nginx_dependency": "requires"},
        ],
    ),
    "an nginx without a unit": (
        [healthy(**DOWN, instances=[nginx(route(), unit=None)], units=[stopped()])],
        [SUPERVISED],
    ),
    "not supervised and not enabled are one entry": (
        [healthy(units=[unit(restart="no", unit_file_state="disabled"), nginx_unit(after=["shop.service"])])],
        [{**SUPERVISED, "restart": "always", "nginx_unit": "nginx.service", "nginx_dependency": "requires"}],
    ),
    "nginx itself": (
        [healthy(instances=[nginx(route(), running=False)], units=[unit(), nginx_unit(active_state="failed")])],
        [{**SUPERVISED, "unit": "nginx.service", "listens": []}],
    ),
}


@pytest.mark.parametrize(("records", "units"), SUPERVISION.values(), ids=SUPERVISION)
def test_what_the_role_supervision_is_told(records: list[HostRecord], units: list[dict[str, Any]]) -> None:
    assert corrected(records) == {"supervision": {"supervision_units": units}}


def test_an_app_on_another_host_is_no_business_of_nginx_units() -> None:
    entry = {**SUPERVISED, "restart": "always", "listens": [WIDE]}
    app1 = stopped_remote_app(units=[stopped(restart="no"), nginx_unit()])
    assert corrected([remote_nginx(), app1], "app1") == {"supervision": {"supervision_units": [entry]}}


PASS_TO = {
    "only the port changes": ([wrong_port()], [{**AT, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"}]),
    "a listener on all addresses": (
        [wrong_port(apps=[app(WIDE), app(OTHER, unit="blog.service")], probes=[probe(WRONG, "refused"), probe(WIDE)])],
        [{**AT, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"}],
    ),
    "IPv6": (
        [
            wrong_port(
                instances=[nginx(route("tcp:[::1]:8001"))],
                apps=[app("tcp:[::1]:8000")],
                probes=[probe("tcp:[::1]:8001", "refused"), probe("tcp:[::1]:8000")],
            )
        ],
        [{**AT, "endpoint": "tcp:[::1]:8001", "pass_to": "[::1]:8000"}],
    ),
    "localhost would try ::1 as well": (
        [
            wrong_port(
                instances=[nginx(route("tcp:localhost:8001"))],
                apps=[app(RIGHT)],
                endpoints=[endpoint("tcp:localhost:8001", addresses=["::1", "127.0.0.1"])],
                probes=[probe("tcp:localhost:8001", "refused"), probe(RIGHT)],
            )
        ],
        [{**AT, "endpoint": "tcp:localhost:8001", "pass_to": "127.0.0.1:8000"}],
    ),
    "localhost, and a listener on all IPv4 addresses": (
        [
            wrong_port(
                instances=[nginx(route("tcp:localhost:8001"))],
                apps=[app(WIDE)],
                endpoints=[endpoint("tcp:localhost:8001", addresses=["::1", "127.0.0.1"])],
                probes=[probe("tcp:localhost:8001", "refused"), probe(WIDE)],
            )
        ],
        [{**AT, "endpoint": "tcp:localhost:8001", "pass_to": "127.0.0.1:8000"}],
    ),
    "another interface of the same host": (
        [
            wrong_port(
                instances=[nginx(route(WRONG))],
                apps=[app("tcp:10.0.0.1:8001")],
                probes=[probe(WRONG, "refused"), probe("tcp:10.0.0.1:8001")],
            )
        ],
        [{**AT, "endpoint": WRONG, "pass_to": "10.0.0.1:8001"}],
    ),
    "a socket instead": (
        [
            wrong_port(
                instances=[nginx(route(WRONG))], apps=[app(SOCKET)], probes=[probe(WRONG, "refused"), probe(SOCKET)]
            )
        ],
        [{**AT, "endpoint": WRONG, "pass_to": "unix:/run/shop/shop.sock"}],
    ),
    "another host keeps its name": (
        [remote_nginx(), remote_app(apps=[app("tcp:0.0.0.0:8080")])],
        [{**AT, "endpoint": REMOTE, "pass_to": "app1:8080"}],
    ),
    "two routes of one address": (
        [wrong_port(apps=[app(RIGHT)], instances=[nginx(route(WRONG), route(WRONG, location="/b", line=20))])],
        [
            {**AT, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"},
            {**AT, "line": 20, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"},
        ],
    ),
    "a snippet included twice": (
        [wrong_port(apps=[app(RIGHT)], instances=[nginx(route(WRONG), route(WRONG, id="b.example /"))])],
        [{**AT, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"}],
    ),
    "two routes through one upstream": (
        [
            wrong_port(
                apps=[app(RIGHT)],
                instances=[
                    nginx(
                        route(WRONG, location="/b", line=20, upstream="shop"),
                        route(WRONG, upstream="shop"),
                        upstreams=[upstream("shop", WRONG)],
                    )
                ],
            )
        ],
        [{**AT, "endpoint": WRONG, "pass_to": "127.0.0.1:8000"}],
    ),
}


@pytest.mark.parametrize(("records", "routes"), PASS_TO.values(), ids=PASS_TO)
def test_what_the_role_proxy_pass_is_told(records: list[HostRecord], routes: list[dict[str, Any]]) -> None:
    assert corrected(records) == {"proxy_pass": {"proxy_pass_routes": routes}}


def test_two_routes_and_two_nginx_hosts_are_one_stopped_app() -> None:
    web2 = seen(
        "web2",
        instances=[nginx(route(REMOTE), route(REMOTE, location="/b", line=20))],
        endpoints=[AT_APP1],
        probes=[probe(REMOTE, "refused")],
    )
    (finding,) = diagnose(fleet(remote_nginx(), web2, stopped_remote_app())).findings
    assert (finding.id, finding.endpoint) == ("app_not_running/app1/shop.service", REMOTE)
    assert [(each.location, each.line) for each in finding.routes] == [("/", 12), ("/b", 20)]
    sources = {each.source for each in finding.evidence if each.kind == "config"}
    assert {"web1:/etc/nginx/sites-enabled/shop:12", "web2:/etc/nginx/sites-enabled/shop:20"} <= sources


def test_what_is_undecided_is_left_to_whoever_decides() -> None:
    records = wrong_port(
        apps=[app(RIGHT), app("tcp:127.0.0.1:8005", unit="b.service"), app(OTHER, unit="blog.service")],
        probes=[probe(WRONG, "refused"), probe(OTHER), probe(RIGHT), probe("tcp:127.0.0.1:8005")],
    )
    diagnosis = diagnose(fleet(records))
    (finding,) = diagnosis.findings
    assert finding.fix is not None
    assert finding.fix.candidates == ("127.0.0.1:8000", "127.0.0.1:8005")
    assert finding.fix.variables == {"proxy_pass_routes": [{**AT, "endpoint": WRONG}]}
    assert "pass_to" in finding.fix.summary
    assert diagnosis.plans == {}


@pytest.mark.parametrize(("asked", "offered"), [(False, None), (True, ("unix:/run/docker.sock",))])
def test_a_socket_of_an_unknown_program_that_nobody_asked_is_offered_to_nobody(
    asked: bool, offered: tuple[str, ...] | None
) -> None:
    engine = "unix:/run/docker.sock"
    probes = [probe(WRONG, "refused"), probe(OTHER), *([probe(engine)] if asked else [])]
    apps = [app(engine, unit="docker.service", kind="other"), app(OTHER, unit="blog.service")]
    records = wrong_port(apps=apps, probes=probes)
    (finding,) = diagnose(fleet(records)).findings
    assert finding.cause == "wrong_upstream_address"
    assert (finding.fix.candidates if finding.fix else None) == offered


NEARER = {
    "the very address comes before all addresses": (["tcp:0.0.0.0:9100", RIGHT], "127.0.0.1:8000"),
    "the very address comes before a socket": (["unix:/run/x.sock", RIGHT], "127.0.0.1:8000"),
    "all addresses come before another one": (["tcp:[::1]:8005", "tcp:0.0.0.0:8000"], "127.0.0.1:8000"),
    "a socket will do when there is nothing nearer": (["unix:/run/x.sock"], "unix:/run/x.sock"),
}


@pytest.mark.parametrize(("keys", "pass_to"), NEARER.values(), ids=NEARER.keys())
def test_the_nearest_candidate_is_the_right_one(keys: list[str], pass_to: str) -> None:
    apps = [app(key, unit=f"u{number}.service") for number, key in enumerate(keys)]
    probes = [probe(WRONG, "refused"), probe(OTHER), *(probe(key) for key in keys)]
    records = wrong_port(apps=[*apps, app(OTHER, unit="blog.service")], probes=probes)
    (route,) = diagnose(fleet(records)).plans["web1"]["proxy_pass"]["proxy_pass_routes"]
    assert route["pass_to"] == pass_to


@pytest.mark.parametrize("key", ["tcp:127.77.0.2:8000", "tcp:0.0.0.0:8000"])
def test_who_writes_a_special_loopback_address_means_it(key: str) -> None:
    wrong = "tcp:127.77.0.1:8001"
    records = wrong_port(
        instances=[nginx(route(wrong))],
        endpoints=[endpoint(wrong, addresses=["127.77.0.1"])],
        apps=[app(key)],
        probes=[probe(wrong, "refused"), probe(key)],
    )
    (finding,) = diagnose(fleet(records)).findings
    assert (finding.cause, finding.fix) == ("wrong_upstream_address", None)


def test_several_stopped_units_are_candidates() -> None:
    apps = [stopped_app(WIDE), stopped_app(WIDE, unit="old.service")]
    records = [remote_nginx(), stopped_remote_app(apps=apps, units=[stopped(), stopped("old.service")])]
    (finding,) = diagnose(fleet(*records)).findings
    assert finding.fix is not None
    assert finding.fix.candidates == ("old.service", "shop.service")
    assert finding.fix.variables == {"supervision_units": [{"enabled": True, "listens": [WIDE]}]}


EVIDENCE = {
    "the probe, with errno and user": (
        [remote_nginx(), stopped_remote_app()],
        ("probe", "tcp:app1:8000: refused at connect, errno 111: Refused (tried app1:8000 as www-data)", "web1"),
    ),
    "the unit": (
        [remote_nginx(), stopped_remote_app(units=[stopped(active_state="failed", result="exit-code", exit_code=3)])],
        (
            "unit",
            "shop.service: failed (dead), result exit-code, exit status 3, at boot: enabled, Restart=always",
            "app1",
        ),
    ),
    "the error log": (
        [wrong_port(log=[log_event(WRONG)])],
        (
            "error_log",
            "3 x connect_refused, last at 2026/11/21 03:00:09: "
            "connect() failed (111: Connection refused) while connecting to upstream",
            "web1:/var/log/nginx/error.log",
        ),
    ),
    "a socket that is still listened on": (
        [unlinked()],
        (
            "socket",
            "/run/shop/shop.sock: no such file; shop.service still listens on the socket, but its file was removed",
            "web1",
        ),
    ),
    "the app server that is left": (
        [wrong_port()],
        (
            "socket",
            "gunicorn of shop.service listens on tcp:127.0.0.1:8000, answers this protocol, and no route uses it",
            "web1",
        ),
    ),
    "what moved the app server that is left": (
        [wrong_port(apps=[app(RIGHT, binds_from="PORT"), app(OTHER, unit="blog.service")])],
        (
            "socket",
            "gunicorn of shop.service listens on tcp:127.0.0.1:8000 (by PORT), answers this protocol,"
            " and no route uses it",
            "web1",
        ),
    ),
    "nginx's own message, with its place": (
        [healthy(instances=[nginx(route(), test=nginx_t(message('unknown directive "proxy_pas"')))])],
        ("config", '[emerg] unknown directive "proxy_pas"', "web1:/etc/nginx/sites-enabled/shop:7"),
    ),
    "the host that could not be looked at": (
        [remote_nginx("timeout"), unreachable("app1.example", "timed out")],
        (
            "network",
            "app1.example could not be reached over SSH either (timed out)",
            "app1.example",
        ),
    ),
    "hosts that could not be looked at, none of that name": (
        [remote_nginx(), unreachable("db1")],
        ("network", "no host that was looked at has the address of tcp:app1:8000; not looked at: db1", "web1"),
    ),
    "an app that only its own host can reach": (
        [remote_nginx(), remote_app(apps=[app(OTHER)])],
        ("socket", "gunicorn listens on tcp:127.0.0.1:9000: only app1 itself can reach that", "app1"),
    ),
    "listeners where no probe was made": (
        [wrong_port(probes=[])],
        (
            "socket",
            "tcp:127.0.0.1:8001: nothing listens there (no probe was made; this is read from the listening sockets)",
            "web1",
        ),
    ),
    "servers that are left in the upstream": (
        [healthy(instances=[nginx(route(RIGHT, WRONG))], probes=[probe(RIGHT), probe(WRONG, "refused")])],
        (
            "config",
            "the upstream's other servers answer: nginx asks them next, one server is missing from the group",
            "web1",
        ),
    ),
}


@pytest.mark.parametrize(("records", "evidence"), EVIDENCE.values(), ids=EVIDENCE)
def test_the_evidence_lies_beside_the_cause(records: list[HostRecord], evidence: tuple[str, str, str]) -> None:
    shown = [(each.kind, each.text, each.source) for each in diagnose(fleet(*records)).findings[0].evidence]
    assert evidence in shown


CONFIDENCE = {
    "probed as nginx": ([wrong_port()], "certain"),
    "probed as somebody else": (
        [wrong_port(probes=[probe(WRONG, "refused", as_nginx=False, user="operator"), probe(OTHER), probe(RIGHT)])],
        "likely",
    ),
    "not probed": ([healthy(**{**DOWN, "probes": []}, units=[stopped(), nginx_unit()])], "likely"),
    "nobody is left that it could be": ([healthy(apps=[], probes=[probe(RIGHT, "refused")])], "possible"),
    "unexplained": ([remote_nginx("timeout"), remote_app()], "possible"),
}


@pytest.mark.parametrize(("records", "confidence"), CONFIDENCE.values(), ids=CONFIDENCE)
def test_how_sure_it_is(records: list[HostRecord], confidence: str) -> None:
    assert [each.confidence for each in diagnose(fleet(*records)).findings] == [confidence]


def test_an_instance_is_judged_by_probes_of_its_own_workers() -> None:
    """Two nginx in different namespaces: what one reaches, the other need not."""
    second = nginx(route(location="/b"), id="b", config="/b.conf", unit="nginx-b.service")
    probes = [probe(RIGHT, "unreachable", instance="b"), probe(RIGHT)]
    (finding,) = diagnose(fleet(healthy(instances=[nginx(route()), second], probes=probes))).findings
    assert [each.location for each in finding.routes] == ["/b"]


def test_an_address_is_judged_by_probes_in_the_routes_own_protocol() -> None:
    routes = [route(), route(location="/u", directive="uwsgi_pass", target="127.0.0.1:8000")]
    host = healthy(
        instances=[nginx(*routes)],
        endpoints=[endpoint(RIGHT), endpoint(RIGHT, protocol="uwsgi")],
        probes=[probe(RIGHT), probe(RIGHT, "mismatch", protocol="uwsgi")],
    )
    (finding,) = diagnose(fleet(host)).findings
    assert [each.location for each in finding.routes] == ["/u"]


def test_the_routes_of_a_name_are_found_by_what_nginx_says_of_it() -> None:
    test = nginx_t(message('host not found in upstream "nowhere:80"'))
    host = healthy(
        instances=[nginx(route("tcp:nowhere:80"), test=test)],
        endpoints=[endpoint("tcp:nowhere:80", addresses=[], resolve_error="Name or service not known")],
        probes=[probe("tcp:nowhere:80", "unresolved", phase="resolve", address="")],
    )
    (finding,) = diagnose(fleet(host)).findings
    assert (finding.id, finding.endpoint) == ("startup_host_not_found/web1/nowhere", "tcp:nowhere:80")
    assert [each.line for each in finding.routes] == [12]


def test_what_only_nginx_can_read_is_said() -> None:
    host = healthy(instances=[nginx(route(), config_readable=False, config_errors=[message("unexpected token")])])
    diagnosis = diagnose(fleet(host))
    assert diagnosis.findings == ()
    assert diagnosis.missed == {"web1": [("configuration /etc/nginx/sites-enabled/shop:7", "unexpected token")]}


def test_inventory_hosts_on_one_network_stack_share_their_listeners() -> None:
    """Several "hosts" on one machine: loopback is each one's own, yet an app server that one of them uses is taken."""
    stack = {"boot_id": "same", "network_namespace": "net:[7]"}
    site = seen("web2", instances=[nginx(route(RIGHT))], info=stack)
    broken = wrong_port(info=stack)
    findings = diagnose(fleet(broken, site)).findings
    assert [(each.cause, each.host, each.fix) for each in findings] == [("wrong_upstream_address", "web1", None)]


def test_an_address_that_every_host_has_is_ones_own() -> None:
    bridge = endpoint("tcp:172.17.0.1:8000")
    web = healthy(
        addresses=["172.17.0.1"],
        instances=[nginx(route("tcp:172.17.0.1:8000"))],
        endpoints=[bridge],
        apps=[stopped_app(WIDE)],
        units=[stopped(), nginx_unit()],
        probes=[probe("tcp:172.17.0.1:8000", "refused")],
    )
    other = remote_app(addresses=["172.17.0.1"])
    assert found(fleet(web, other)) == [("app_not_running", "web1", "outage", True)]


def test_what_hurts_comes_first() -> None:
    records = fleet(
        wrong_port(units=[unit(restart="no"), unit("blog.service"), nginx_unit()]),
        seen(
            "web2",
            instances=[nginx(route())],
            apps=[app()],
            probes=[probe(RIGHT, "timeout", phase="read", milliseconds=60_000)],
        ),
        seen("web3", instances=[nginx(route(OTHER))], probes=[probe(OTHER, "reset")]),
    )
    assert [(each.severity, each.confidence, each.host) for each in diagnose(records).findings] == [
        ("outage", "certain", "web1"),
        ("outage", "possible", "web3"),
        ("intermittent", "certain", "web2"),
        ("risk", "certain", "web1"),
    ]


def test_hosts_are_summed_up() -> None:
    web = healthy(missed=[{"what": "error log /var/log/nginx/error.log", "why": "Permission denied"}])
    diagnosis = diagnose(fleet(web, unreachable("app1", "timed out")))
    assert diagnosis.hosts == {
        "app1": {"status": "unreachable", "reason": "timed out", "nginx": [], "routes": 0},
        "web1": {"status": "ok", "reason": "", "nginx": ["1.22.1"], "routes": 1},
    }
    assert diagnosis.missed == {"web1": [("error log /var/log/nginx/error.log", "Permission denied")]}


def test_the_order_of_the_records_does_not_matter() -> None:
    records = [remote_nginx(), stopped_remote_app(), unreachable("db1")]
    assert diagnose(fleet(*records)) == diagnose(fleet(*reversed(records)))
