# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unix sockets: the path, the file, who may use it, and its queue."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    fleet,
    host_capacity,
    listener,
    nginx,
    nginx_unit,
    probe,
    route,
    socket_file,
    stopped,
    stopped_app,
    unit,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    SOCKET,
    journal,
    named,
    only,
    said,
    shown,
    site,
)

PATH = SOCKET[5:]
TMP = "unix:/tmp/shop.sock"


def file(path: str = PATH, **changes: Any) -> Any:
    return {**socket_file(path), **changes}


def gone(path: str = PATH, **changes: Any) -> Any:
    return {**socket_file(path, exists=False, listening=False), **changes}


def deaf(key: str = SOCKET, outcome: str = "missing", **changes: Any) -> HostRecord:
    """The app listens on its socket, and nginx does not come through."""
    values: dict[str, Any] = {
        "listeners": [listener(key, file_exists=False)],
        "probes": [probe(key, outcome, errno=changes.pop("errno", 2))],
        "socket_files": [gone(key[5:])],
    }
    return site(key, **{**values, **changes})


def misspelt(written: str, *, outcome: str = "missing", listening: bool = True, **route_changes: Any) -> HostRecord:
    key = f"unix:{written}"
    return site(
        SOCKET,
        instances=[nginx(route(key, **route_changes), upstreams=[upstream("shop", key)])],
        apps=[app(SOCKET)] if listening else [],
        units=[unit(), nginx_unit()],
        probes=[probe(key, outcome, errno=20 if outcome == "error" else 2)],
        socket_files=[gone(written)],
    )


def test_a_colon_at_the_end_is_taken_away() -> None:
    record = misspelt(f"{PATH}:", upstream="shop")
    finding = only(record)
    assert (finding.cause, finding.severity) == ("socket_path_syntax", "outage")
    assert diagnose(fleet(record)).plans == {
        "web1": {
            "proxy_pass": {
                "proxy_pass_routes": [
                    {
                        "file": "/etc/nginx/sites-enabled/shop",
                        "line": 12,
                        "endpoint": f"unix:{PATH}:",
                        "pass_to": f"unix:{PATH}",
                    }
                ]
            }
        }
    }


def test_a_colon_at_the_end_of_a_path_where_nobody_listens_is_only_a_candidate() -> None:
    finding = only(misspelt("/run/other.sock:", listening=False))
    assert finding.cause == "socket_path_syntax"
    assert finding.fix is not None
    assert (finding.fix.automatic, finding.fix.candidates) == (False, ("unix:/run/other.sock",))


def test_a_uri_without_its_colon_is_for_somebody_to_decide() -> None:
    finding = only(misspelt(f"{PATH}/api/", outcome="error"))
    assert finding.cause == "socket_path_syntax"
    assert finding.fix is not None
    assert not finding.fix.automatic
    assert f"unix:{PATH}:/api/" in finding.fix.summary


def test_a_path_that_is_only_wrong_is_no_matter_of_spelling() -> None:
    assert named(misspelt("/run/shop/gunicorn.sock"))[0][0] == "wrong_upstream_address"


# -- the file


FILES: dict[str, tuple[HostRecord, str, bool | None]] = {
    "removed": (deaf(), "socket_missing", True),
    "removed, and the directory is there": (deaf(socket_files=[gone()]), "socket_missing", True),
    "removed by an instance that ended": (
        deaf(
            apps=[app(SOCKET), stopped_app(SOCKET, unit="shop-old.service")],
            units=[unit(), stopped("shop-old.service", unit_file_state="disabled"), nginx_unit()],
        ),
        "socket_unlinked_by_old_instance",
        True,
    ),
    "replaced by a dead instance's": (
        deaf(
            outcome="refused",
            errno=111,
            apps=[app(SOCKET), stopped_app(SOCKET, unit="shop-old.service")],
            units=[unit(), stopped("shop-old.service", unit_file_state="disabled"), nginx_unit()],
            listeners=[listener(SOCKET, file_is_this_socket=False)],
            socket_files=[file(listening=False)],
        ),
        "socket_unlinked_by_old_instance",
        True,
    ),
    "left behind by a process that died": (
        deaf(
            outcome="refused",
            apps=[stopped_app(SOCKET)],
            units=[stopped(active_state="failed", result="signal"), nginx_unit()],
            listeners=[SSHD],
            socket_files=[file(listening=False)],
        ),
        "socket_stale",
        True,
    ),
    "left behind by a process that was stopped": (
        deaf(
            outcome="refused",
            apps=[stopped_app(SOCKET)],
            units=[stopped(), nginx_unit()],
            listeners=[SSHD],
            socket_files=[file(listening=False)],
        ),
        "app_not_running",
        True,
    ),
    "left behind, and nobody is known to want it": (
        deaf(outcome="refused", apps=[], units=[nginx_unit()], listeners=[SSHD], socket_files=[file(listening=False)]),
        "socket_stale",
        None,
    ),
    "not a socket": (
        deaf(outcome="refused", apps=[], listeners=[SSHD], socket_files=[file(is_socket=False, listening=False)]),
        "socket_wrong_type",
        False,
    ),
    "a datagram socket": (
        deaf(outcome="error", errno=91, apps=[], listeners=[SSHD], socket_files=[file(listening=False)]),
        "socket_wrong_type",
        False,
    ),
    "a file in the path": (
        deaf(
            "unix:/etc/hostname/x", "error", errno=20, apps=[], listeners=[SSHD], socket_files=[gone("/etc/hostname/x")]
        ),
        "socket_wrong_type",
        False,
    ),
    "another error": (deaf(outcome="error", errno=5), "endpoint_not_answering", None),
}


@pytest.mark.parametrize(("record", "cause", "automatic"), FILES.values(), ids=FILES)
def test_what_became_of_the_file(record: HostRecord, cause: str, automatic: bool | None) -> None:
    finding = only(record)
    assert (finding.cause, finding.host, finding.severity) == (cause, "web1", "outage")
    assert (finding.fix.automatic if finding.fix else None) == automatic


BLOCKED: dict[str, Any] = {"active_state": "failed", "result": "exit-code", "exit_code": 1}


def test_a_stale_file_that_keeps_its_owner_from_binding_has_to_go_first() -> None:
    record = deaf(
        outcome="refused",
        apps=[stopped_app(SOCKET, kind="uvicorn")],
        units=[stopped(**BLOCKED), nginx_unit()],
        listeners=[SSHD],
        socket_files=[file(listening=False)],
        journals=[journal(said("port_in_use"))],
    )
    finding = only(record)
    assert finding.cause == "socket_stale"
    assert finding.fix is not None
    assert not finding.fix.automatic
    assert f"remove {PATH}" in finding.fix.summary


# -- directories


def without_directory(
    state: dict[str, Any], *, made: str = "", missing: str = "/run/shop", **changes: Any
) -> HostRecord:
    active = state.get("active_state", "active") == "active"
    raw = {"RuntimeDirectory": made} if made else {}
    values: dict[str, Any] = {
        "apps": [app(SOCKET) if active else stopped_app(SOCKET)],
        "units": [unit(**{"raw": raw, **state}), nginx_unit()],
        "listeners": [listener(SOCKET, file_exists=False)] if active else [SSHD],
        "socket_files": [gone(missing_parent=missing)],
    }
    return deaf(**{**values, **changes})


DIRECTORIES = {
    "nothing makes it, and the app fails": (without_directory(BLOCKED), "runtime_dir_gone", "shop"),
    "nothing makes it, and the app keeps dying": (
        without_directory({"active_state": "activating", "sub_state": "auto-restart", "restarts": 9}),
        "runtime_dir_gone",
        "shop",
    ),
    "nothing makes it, and the app listens still": (without_directory({}), "runtime_dir_gone", "shop"),
    "another unit took it away": (without_directory({}, made="shop"), "runtime_dir_gone", None),
    "a part of it is made": (without_directory({}, made="shop", missing="/run/shop"), "runtime_dir_gone", None),
    "stopped in order, it went with the app": (
        without_directory({"active_state": "inactive"}, made="shop"),
        "app_not_running",
        None,
    ),
    "stopped in order, and nothing is known to make it": (
        without_directory({"active_state": "inactive"}),
        "app_not_running",
        None,
    ),
    "the app failed and its directory went with it": (without_directory(BLOCKED, made="shop"), "app_not_running", None),
    "not below /run": (without_directory({}, missing="/srv/shop"), "socket_missing", None),
}


@pytest.mark.parametrize(("record", "cause", "to_make"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_what_became_of_the_directory(record: HostRecord, cause: str, to_make: str | None) -> None:
    finding = only(record)
    assert (finding.cause, finding.severity) == (cause, "outage")
    assert finding.fix is not None
    assert finding.fix.automatic
    (entry,) = finding.fix.variables["supervision_units"]
    assert entry.get("runtime_directory") == to_make


def test_who_shares_the_directory_is_named() -> None:
    units = [
        unit(raw={"RuntimeDirectory": "shop"}),
        stopped("b.service", raw={"RuntimeDirectory": "shop"}),
        nginx_unit(),
    ]
    assert "b.service has the same RuntimeDirectory=" in shown(only(without_directory({}, units=units)))


# -- private directories


def in_tmp(
    *, app_raw: dict[str, str] | None = None, nginx_raw: dict[str, str] | None = None, **changes: Any
) -> HostRecord:
    values: dict[str, Any] = {"units": [unit(raw=app_raw or {}), nginx_unit(raw=nginx_raw or {})]}
    return deaf(TMP, **{**values, **changes})


PRIVATE = {
    "of the app": (in_tmp(app_raw={"PrivateTmp": "yes"}), "socket_hidden_by_private_tmp"),
    "of a dynamic user": (in_tmp(app_raw={"PrivateTmp": "no", "DynamicUser": "yes"}), "socket_hidden_by_private_tmp"),
    "of nginx, the host has the file": (
        in_tmp(nginx_raw={"PrivateTmp": "yes"}, socket_files=[file("/tmp/shop.sock")], listeners=[SSHD, listener(TMP)]),
        "socket_hidden_by_private_tmp",
    ),
    "of nginx, but the file is gone everywhere": (in_tmp(nginx_raw={"PrivateTmp": "yes"}), "socket_missing"),
    "of nobody": (in_tmp(app_raw={"PrivateTmp": "no"}), "socket_missing"),
}


@pytest.mark.parametrize(("record", "cause"), PRIVATE.values(), ids=PRIVATE)
def test_whose_tmp_it_is(record: HostRecord, cause: str) -> None:
    assert named(record) == [(cause, "web1", "outage")]


def test_a_private_tmp_does_not_hide_what_lies_elsewhere() -> None:
    record = deaf(units=[unit(raw={"PrivateTmp": "yes"}), nginx_unit()])
    assert named(record) == [("socket_missing", "web1", "outage")]


# -- who may


def denied(**changes: Any) -> HostRecord:
    values: dict[str, Any] = {"listeners": [SSHD, listener(SOCKET)], "socket_files": [file()], "errno": 13}
    return deaf(outcome="denied", **{**values, **changes})


def denial(**changes: Any) -> dict[str, Any]:
    return {
        "module": "selinux",
        "process": "nginx",
        "permission": "connectto",
        "target": PATH,
        "count": 3,
        "last": "",
        "sample": "avc: denied",
        **changes,
    }


SELINUX: dict[str, tuple[HostRecord, str, str]] = {
    "a closed directory": (denied(socket_files=[file(denied_at="/run/shop")]), "socket_permission", "certain"),
    "the socket itself": (denied(socket_files=[file(denied_at=PATH)]), "socket_permission", "certain"),
    "nobody could look where": (denied(), "socket_permission", "likely"),
    "the log of the security module": (
        denied(capacity=host_capacity(selinux="enforcing", denials=[denial()])),
        "selinux_unix_denied",
        "certain",
    ),
    "the log of the security module is about another socket": (
        denied(
            capacity=host_capacity(selinux="permissive", denials=[denial(target="/run/blog.sock")]),
            socket_files=[file(denied_at=PATH)],
        ),
        "socket_permission",
        "certain",
    ),
    "nothing but the security module is left": (
        denied(capacity=host_capacity(selinux="enforcing")),
        "selinux_unix_denied",
        "likely",
    ),
    "a closed directory on a system with SELinux": (
        denied(capacity=host_capacity(selinux="enforcing"), socket_files=[file(denied_at="/run/shop")]),
        "socket_permission",
        "certain",
    ),
    "AppArmor": (denied(capacity=host_capacity(apparmor="enforcing")), "selinux_unix_denied", "likely"),
}


@pytest.mark.parametrize(("record", "cause", "confidence"), SELINUX.values(), ids=SELINUX)
def test_who_keeps_nginx_out(record: HostRecord, cause: str, confidence: str) -> None:
    finding = only(record)
    assert (finding.cause, finding.confidence, finding.fix) == (cause, confidence, None)


def test_what_is_denied_hides_what_is_behind() -> None:
    text = shown(only(denied(socket_files=[file(denied_at="/run/shop", mode="0660", owner="app:app")])))
    assert f"www-data may not pass /run/shop, on the way to {PATH}" in text
    assert "what is behind that could not be seen" in text


def test_mode_and_owner_of_the_socket_are_shown() -> None:
    record = denied(socket_files=[file(denied_at=PATH, mode="0600", owner="app:app")])
    assert f"www-data may not write to {PATH} (mode 0600, of app:app)" in shown(only(record))


def test_a_full_queue_is_told_with_its_length() -> None:
    record = deaf(
        outcome="queue_full",
        errno=11,
        listeners=[listener(SOCKET, queued=101, backlog=100)],
        socket_files=[file()],
    )
    finding = only(record)
    assert (finding.cause, finding.severity) == ("unix_backlog_full", "outage")
    assert "101 connections wait there to be accepted, 100 may (net.core.somaxconn is 4096)" in shown(finding)
