# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the probe tells once it is connected: each cause beside its neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Probe
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    endpoint,
    fleet,
    listener,
    log_event,
    nginx,
    probe,
    route,
    seen,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP, journal, said

PASSES = {
    "http": "proxy_pass",
    "https": "proxy_pass",
    "uwsgi": "uwsgi_pass",
    "fastcgi": "fastcgi_pass",
    "grpc": "grpc_pass",
}


def asked(protocol: str, outcome: str, **changes: Any) -> Probe:
    return probe(TCP, outcome, protocol=protocol, **{"phase": "read", **changes})


def causes(shown: Probe, **changes: Any) -> list[tuple[str, str]]:
    protocol = shown["protocol"]
    target = f"{protocol}://127.0.0.1:8000" if protocol in ("http", "https", "grpc") else "127.0.0.1:8000"
    site = nginx(route(TCP, directive=PASSES[protocol], target=target))
    values = {"apps": [app(TCP)], "units": [unit()], "endpoints": [endpoint(TCP, protocol=protocol)], **changes}
    found = diagnose(fleet(seen("web1", instances=[site], probes=[shown], **values))).findings
    return [(each.cause, each.severity) for each in found if each.severity != "risk"]


@pytest.mark.parametrize(
    ("shown", "cause"),
    [
        (asked("https", "mismatch", phase="tls", speaks="http"), "https_to_plain_backend"),
        (
            asked("https", "error", phase="tls", detail="wrong version number"),
            "https_to_plain_backend",
        ),
        (asked("https", "error", phase="tls", detail="sslv3 alert handshake failure"), "tls_sni_missing_or_alert"),
        (asked("https", "error", phase="tls", detail="TLS: self-signed certificate"), "tls_verify_failed"),
        (asked("https", "closed", phase="tls"), "tls_sni_missing_or_alert"),
        (asked("https", "timeout", phase="tls"), "tls_timeout"),
        (asked("http", "mismatch", speaks="tls"), "not_http_upstream"),
        (asked("http", "mismatch", speaks="redis"), "not_http_upstream"),
        (asked("http", "closed", speaks="uwsgi"), "protocol_mismatch_uwsgi"),
        (asked("http", "reset", speaks="fastcgi"), "protocol_mismatch_fastcgi"),
        (asked("http", "mismatch", speaks="http2"), "http2_or_grpc_mismatch"),
        (asked("uwsgi", "mismatch", speaks="http"), "protocol_mismatch_uwsgi"),
        (asked("fastcgi", "mismatch", speaks="http"), "protocol_mismatch_fastcgi"),
        (asked("fastcgi", "mismatch", speaks="uwsgi"), "protocol_mismatch_uwsgi"),
        (asked("grpc", "mismatch", speaks="http"), "http2_or_grpc_mismatch"),
        (asked("http", "closed"), "endpoint_not_answering"),
    ],
)
def test_what_is_spoken_there(shown: Probe, cause: str) -> None:
    assert causes(shown) == [(cause, "outage")]


@pytest.mark.parametrize(
    ("kind", "cause"), [("uwsgi", "protocol_mismatch_uwsgi"), ("php-fpm", "protocol_mismatch_fastcgi")]
)
def test_an_app_server_that_says_nothing_is_known_by_its_kind(kind: str, cause: str) -> None:
    assert causes(asked("http", "closed"), apps=[app(TCP, kind=kind)]) == [(cause, "outage")]


def test_an_app_server_that_keeps_nginx_waiting() -> None:
    slow = asked("http", "timeout")
    busy = [listener(TCP, queued=3)]
    gave_up = log_event(TCP, signature="timeout_header")
    assert causes(slow, log=[gave_up]) == [("app_slow", "intermittent")]
    assert causes(slow, log=[{**gave_up, "last": "2026/11/21 01:00:00"}]) == []
    assert causes(slow) == []  # nginx waits longer than the probe does
    (maybe,) = diagnose(fleet(seen("web1", instances=[nginx(route())], probes=[slow], apps=[app()]))).findings
    assert (maybe.cause, maybe.severity, maybe.confidence) == ("app_slow", "risk", "likely")
    assert causes({**slow, "milliseconds": 60_000}) == [("app_slow", "intermittent")]
    assert causes(slow, listeners=busy) == [("app_pool_saturated", "intermittent")]


def test_a_connection_that_ends_is_explained_by_the_journal() -> None:
    said_so = [journal(said("gunicorn_worker_timeout"))]
    assert causes(asked("http", "closed"), journals=said_so) == [("gunicorn_worker_timeout", "outage")]


@pytest.mark.parametrize(
    ("protocol", "signature", "expected"),
    [
        ("https", "tls_plain_backend", [("https_to_plain_backend", "outage")]),
        ("https", "tls_alert", [("tls_sni_missing_or_alert", "outage")]),
        ("https", "tls_peer_closed", [("tls_sni_missing_or_alert", "outage")]),
        ("https", "timeout_tls", [("tls_timeout", "intermittent")]),
        ("http", "not_http", [("not_http_upstream", "outage")]),
        ("fastcgi", "not_fastcgi", [("protocol_mismatch_fastcgi", "outage")]),
        ("grpc", "h2_upstream", [("http2_or_grpc_mismatch", "outage")]),
    ],
)
def test_what_nginx_says_where_no_probe_spoke(protocol: str, signature: str, expected: list[tuple[str, str]]) -> None:
    told: Any = {**log_event(TCP, signature=signature), "upstream": f"{protocol}://127.0.0.1:8000"}
    connected = asked(protocol, "connected", phase="connect")
    assert causes(connected, log=[told]) == expected
    assert causes(connected, log=[{**told, "upstream": "uwsgi://127.0.0.1:8000"}]) == []
    answered = [each for each in expected if each[0] == "tls_timeout"]  # which need not happen always
    assert causes(asked(protocol, "answered"), log=[told]) == answered


def test_lines_that_go_on_after_nginx_read_its_configuration_anew() -> None:
    early: Any = {**log_event(TCP, signature="tls_alert"), "last": "2026/11/21 03:00:02"}
    late: Any = {**log_event(TCP, signature="tls_peer_closed"), "last": "2026/11/21 03:00:08"}
    read_anew = nginx(route(TCP, target="https://127.0.0.1:8000"), workers_since="2026/11/21 03:00:05")
    connected = [asked("https", "connected", phase="connect")]

    def found(*log: Any) -> list[str]:
        seen_by = seen(
            "web1", instances=[read_anew], endpoints=[endpoint(TCP, protocol="https")], probes=connected, log=log
        )
        return [each.severity for each in diagnose(fleet(seen_by)).findings]

    assert found(early) == ["risk"]
    assert found(early, late) == ["outage"]
