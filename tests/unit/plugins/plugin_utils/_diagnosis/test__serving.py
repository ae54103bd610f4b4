# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the logs tell of app servers that answer now: what counts, what is over, and whom it is about."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    capacity,
    fleet,
    listener,
    log_event,
    nginx,
    probe,
    route,
    unit,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    TCP,
    back,
    front,
    journal,
    said,
    site,
)

LINE = "upstream prematurely closed connection"
MINUTE = "2026/11/21 03:00"


def line(signature: str = "closed_before_header", **changes: Any) -> ErrorLogEvent:
    return {**log_event(TCP, signature=signature), "upstream": "http://127.0.0.1:8000", **changes}  # type: ignore[typeddict-item]


def found(record: HostRecord, *more: HostRecord) -> list[Finding]:
    return [each for each in diagnose(fleet(record, *more)).findings if each.severity != "risk"]


def causes(record: HostRecord, *more: HostRecord) -> list[tuple[str, str, str]]:
    return [(each.cause, each.host, each.severity) for each in found(record, *more)]


def access(status: int, upstream_status: str, **changes: Any) -> dict[str, Any]:
    event = {
        "status": status,
        "upstream_status": upstream_status,
        "upstream": "127.0.0.1:8000",
        "endpoint": TCP,
        "server": "shop.example",
        "methods": {"GET": 3},
        "count": 3,
        "first": f"{MINUTE}:00",
        "last": f"{MINUTE}:05",
        "slowest": 0.1,
        "sample": "GET /",
        "per_minute": {MINUTE: 3},
        **changes,
    }
    return {
        "path": "/var/log/nginx/access.log",
        "available": True,
        "why": "",
        "has_upstream_status": True,
        "size": 1,
        "bytes_read": 1,
        "files_read": [],
        "since": None,
        "requests": 10,
        "per_minute": {MINUTE: 10, "2026/11/21 02:59": 2},
        "events": [event],
    }


@pytest.mark.parametrize(
    ("signature", "details", "cause"),
    [
        ("gunicorn_worker_timeout", {}, "gunicorn_worker_timeout"),
        ("gunicorn_worker_sigkill", {}, "worker_oom_killed"),
        ("gunicorn_worker_signal", {"SIGSEGV": 2}, "worker_crash"),
        ("gunicorn_worker_exited", {"1": 2}, "worker_crash"),
        ("phpfpm_child_signal", {"SIGSEGV": 2}, "worker_crash"),
        ("uwsgi_worker_died", {}, "worker_crash"),
        ("uwsgi_harakiri", {}, "uwsgi_harakiri"),
        ("phpfpm_timed_out", {}, "phpfpm_terminated"),
        ("uwsgi_invalid_block", {"21573": 2}, "protocol_mismatch_uwsgi"),
        ("uwsgi_invalid_block", {"6211": 2}, "uwsgi_header_too_big"),
        ("gunicorn_booting_worker", {}, "worker_recycle"),
        ("uwsgi_reload", {"gracefully": 2}, "worker_recycle"),
    ],
)
def test_a_connection_that_ends_is_explained_by_the_journal(signature: str, details: Any, cause: str) -> None:
    record = site(log=[line()], journals=[journal(said(signature, details=details))])
    assert causes(record) == [(cause, "web1", "intermittent")]
    assert causes(site(journals=[journal(said(signature, details=details))])) == []


def test_a_worker_killed_for_its_time_out_was_not_killed_for_memory() -> None:
    both = journal(said("gunicorn_worker_sigkill"), said("gunicorn_worker_timeout"))
    assert causes(site(log=[line()], journals=[both])) == [("gunicorn_worker_timeout", "web1", "intermittent")]


def test_kills_that_the_control_group_counts() -> None:
    hungry = app(TCP, capacity=capacity(oom_kills=3))
    assert causes(site(log=[line()], apps=[hungry])) == [("worker_oom_killed", "web1", "intermittent")]


def test_a_connection_that_ends_without_any_word_is_no_finding() -> None:
    assert causes(site(log=[line()])) == []


def test_the_finding_is_where_the_app_is() -> None:
    far = {**log_event("tcp:10.0.0.2:8000", signature="closed_before_header"), "upstream": "http://10.0.0.2:8000"}
    web = front("answered", log=[far])
    assert causes(web, back(journals=[journal(said("gunicorn_worker_timeout"))])) == [
        ("gunicorn_worker_timeout", "app1", "intermittent")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"last": "2026/11/21 01:59:00"}, id="an hour ago"),
        pytest.param({"upstream": "https://127.0.0.1:8000"}, id="from when nginx spoke another protocol there"),
        pytest.param({"endpoint": "tcp:127.0.0.1:8001"}, id="about an address that no route leads to"),
    ],
)
def test_what_is_over_is_no_finding(changes: Any) -> None:
    journals = [journal(said("gunicorn_worker_timeout"))]
    assert causes(site(log=[line(**changes)], journals=journals)) == []


def test_what_was_before_the_last_start_is_over() -> None:
    journals = [journal(said("gunicorn_worker_timeout"))]
    young = [unit(active_since="Sat 2026-11-21 03:00:10 UTC")]
    assert causes(site(log=[line()], journals=journals, units=young)) == []


def test_keepalive_that_the_app_server_does_not_bear() -> None:
    settings = {"proxy_http_version": [["1.1"]], "proxy_set_header": [["Connection", ""]]}
    group = {**upstream("shop", TCP), "directives": [["keepalive", "8"]]}
    kept = nginx(route(TCP, upstream="shop"), upstreams=[group], route_settings=[settings])  # type: ignore[list-item]
    node = app(TCP, kind="node", settings={"idle_timeout": 5})
    assert causes(site(instances=[kept], apps=[node], log=[line()])) == [("keepalive_race", "web1", "intermittent")]
    patient = app(TCP, kind="node", settings={"idle_timeout": 75})
    assert causes(site(instances=[kept], apps=[patient], log=[line()])) == []


def test_uploads_that_nobody_reads() -> None:
    post = line("reset_on_send", sample='writev() failed (104: reset), request: "POST /upload HTTP/1.1"')
    get = line("reset_on_send", sample='writev() failed (104: reset), request: "GET / HTTP/1.1"')
    assert causes(site(log=[post])) == [("early_close_upload", "web1", "intermittent")]
    assert causes(site(log=[get])) == []


@pytest.mark.parametrize(
    ("settings", "at_once", "cause"),
    [
        ({"concurrency": 1}, 6, "app_pool_saturated"),
        ({"concurrency": 8}, 2, "app_slow"),
        ({}, 6, "app_slow"),
    ],
)
def test_too_many_at_a_time_is_not_too_slow(settings: Any, at_once: int, cause: str) -> None:
    late = line("timeout_header", per_minute={MINUTE: at_once})
    assert causes(site(log=[late], apps=[app(TCP, settings=settings)])) == [(cause, "web1", "intermittent")]


def test_php_says_that_it_has_too_few_children() -> None:
    record = site(log=[line("timeout_header")], journals=[journal(said("phpfpm_max_children"))])
    assert causes(record) == [("phpfpm_saturated", "web1", "intermittent")]


@pytest.mark.parametrize(
    ("signature", "cause"), [("too_big_header", "too_big_header"), ("invalid_header", "invalid_response_header")]
)
def test_headers_that_nginx_cannot_use(signature: str, cause: str) -> None:
    assert causes(site(log=[line(signature)])) == [(cause, "web1", "intermittent")]


@pytest.mark.parametrize("signature", ["client_abort", "closed_in_body", "reset_in_body", "timeout_body"])
def test_nobody_is_blamed_for_clients_that_leave_and_bodies_that_break_off(signature: str) -> None:
    assert causes(site(log=[line(signature)])) == []


def test_only_under_load_is_said() -> None:
    late = line("timeout_header", per_minute={MINUTE: 3})
    (finding,) = found(site(log=[late], access_logs=[access(504, "504")]))
    assert any("only under load: at least 10 requests" in each.text for each in finding.evidence)


def test_a_next_try_that_hid_it_is_said() -> None:
    record = site(log=[line("too_big_header")], access_logs=[access(200, "502, 200")])
    (finding,) = found(record)
    assert any("got the next try's answer" in each.text for each in finding.evidence)
    blind = {**access(200, "502, 200"), "has_upstream_status": False}
    (finding,) = found(site(log=[line("too_big_header")], access_logs=[blind]))
    assert any("has no $upstream_status" in each.text for each in finding.evidence)


@pytest.mark.parametrize("status", [502, 503])
def test_the_apps_own_answer(status: int) -> None:
    assert causes(site(access_logs=[access(status, str(status))])) == [(f"app_said_{status}", "web1", "intermittent")]
    now = [probe(TCP, status=status)]
    assert causes(site(access_logs=[access(status, str(status))], probes=now)) == [
        (f"app_said_{status}", "web1", "outage")
    ]


def test_nginxs_own_502_is_not_the_apps() -> None:
    assert causes(site(access_logs=[access(502, "502")], log=[line("too_big_header")])) == [
        ("too_big_header", "web1", "intermittent")
    ]
    assert causes(site(access_logs=[access(500, "500")])) == []
    assert causes(site(access_logs=[access(503, "-")])) == []


def test_uwsgi_without_an_app() -> None:
    empty = app(TCP, kind="uwsgi")
    since = [unit(active_since="Sat 2026-11-21 03:00:00 UTC")]
    no_app = journal(said("uwsgi_no_app"))
    fails = [probe(TCP, status=500)]
    assert causes(site(apps=[empty], units=since, journals=[no_app], probes=fails)) == [
        ("uwsgi_app_missing", "web1", "outage")
    ]
    later = [unit(active_since="Sat 2026-11-21 03:00:09 UTC")]
    assert causes(site(apps=[empty], units=later, journals=[no_app], probes=fails)) == []


def test_uwsgi_that_loads_its_apps_when_they_are_asked_for() -> None:
    since = [unit(active_since="Sat 2026-11-21 03:00:00 UTC")]
    dynamic = site(apps=[app(TCP, kind="uwsgi")], units=since, journals=[journal(said("uwsgi_no_app"))])
    assert causes(dynamic) == []


def test_what_the_journal_says_of_another_time_explains_nothing() -> None:
    earlier = journal(said("gunicorn_worker_timeout", last="2026/11/21 02:40:00"))
    assert causes(site(log=[line()], journals=[earlier])) == []


def test_workers_that_the_start_itself_made_replaced_nobody() -> None:
    journals = [journal(said("gunicorn_booting_worker", last="2026/11/21 02:59:30"))]
    just_started = [unit(active_since="Sat 2026-11-21 02:59:30 UTC")]
    assert causes(site(log=[line()], journals=journals, units=just_started)) == []
    asked = [journal(said("gunicorn_reload", last="2026/11/21 02:59:30"))]
    assert causes(site(log=[line()], journals=asked, units=just_started)) == [
        ("worker_recycle", "web1", "intermittent")
    ]
    long_ago = [unit(active_since="Sat 2026-11-21 01:00:00 UTC")]
    assert causes(site(log=[line()], journals=journals, units=long_ago)) == [("worker_recycle", "web1", "intermittent")]


def test_a_killed_worker_that_the_kernel_did_not_kill_has_crashed() -> None:
    journals = [journal(said("gunicorn_worker_sigkill"))]
    spared = [app(TCP, capacity=capacity(oom_kills=0))]
    assert causes(site(log=[line()], journals=journals, apps=spared)) == [("worker_crash", "web1", "intermittent")]


def test_kills_of_another_day_are_not_this_one() -> None:
    once = [app(TCP, capacity=capacity(oom_kills=3))]
    assert causes(site(log=[line()], journals=[journal()], apps=once)) == []
    of_another = journal(unit="blog.service")
    assert causes(site(log=[line()], journals=[of_another], apps=once)) == [
        ("worker_oom_killed", "web1", "intermittent")
    ]


def test_one_restart_is_no_loop() -> None:
    once = journal(said("systemd_scheduled_restart", count=1))
    assert causes(site(log=[line()], journals=[once])) == []
    twice = journal(said("systemd_scheduled_restart"))
    assert causes(site(log=[line()], journals=[twice])) == [("app_crash_loop", "web1", "intermittent")]


@pytest.mark.parametrize(
    ("lines", "confidence"),
    [
        ([line("reset_on_send", sample='writev() failed (104: reset), request: "POST / HTTP/1.1"')], "likely"),
        ([line("too_big_header")], "certain"),
    ],
)
def test_guesses_are_said_to_be_likely(lines: list[ErrorLogEvent], confidence: str) -> None:
    assert [each.confidence for each in found(site(log=lines))] == [confidence]


@pytest.mark.parametrize(
    ("signature", "cause"),
    [
        ("too_big_header", "too_big_header"),
        ("invalid_header", "invalid_response_header"),
        ("timeout_header", "app_slow"),
    ],
)
def test_an_app_server_on_a_host_that_nobody_looked_at(signature: str, cause: str) -> None:
    far = {**log_event("tcp:10.0.0.2:8000", signature=signature), "upstream": "http://10.0.0.2:8000"}
    (finding,) = found(front("answered", log=[far]))
    assert (finding.cause, finding.host, finding.endpoint) == (cause, "web1", "tcp:app1:8000")


def test_what_follows_from_another_finding_is_left_out_and_what_does_not_is_not() -> None:
    full = line("connect_eagain_unix", endpoint="unix:/run/shop/shop.sock", upstream=None)
    late = line("timeout_header", endpoint="unix:/run/shop/shop.sock", upstream=None)
    large = line("too_big_header", endpoint="unix:/run/shop/shop.sock", upstream=None)
    record = site("unix:/run/shop/shop.sock", log=[full, late, large])
    assert sorted(cause for cause, _host, _severity in causes(record)) == ["too_big_header", "unix_backlog_full"]


def test_the_apps_own_answer_to_our_own_question() -> None:
    (finding,) = found(site(probes=[probe(TCP, status=503, detail="HTTP/1.1 503 Service Unavailable")]))
    assert (finding.cause, finding.severity, finding.confidence) == ("app_said_503", "outage", "likely")
    below = site(instances=[nginx(route(location="/api/"))], probes=[probe(TCP, status=503)])
    assert found(below) == []  # what is below /api/ was not asked for


def test_all_that_the_app_said_is_one_finding() -> None:
    log = access(502, "502")
    log["events"] = [*log["events"], {**log["events"][0], "upstream_status": "502, 502"}]
    (finding,) = found(site(access_logs=[log]))
    assert sum(each.kind == "access_log" for each in finding.evidence) == 2


def test_what_was_before_nginx_read_its_configuration_anew_is_a_risk() -> None:
    record = site(instances=[nginx(route(), workers_since="2026/11/21 03:00:09")], log=[line("too_big_header")])
    assert causes(record) == [("too_big_header", "web1", "intermittent")]
    record = site(instances=[nginx(route(), workers_since="2026/11/21 03:00:10")], log=[line("too_big_header")])
    assert causes(record) == []
    (finding,) = [each for each in diagnose(fleet(record)).findings if each.cause == "too_big_header"]
    assert finding.fix is not None
    assert not finding.fix.automatic  # as no risk is


@pytest.mark.parametrize(
    ("since", "ended", "severity"),
    [
        ("03:00:10", False, "risk"),
        ("03:00:09", False, "intermittent"),  # written in the second of the reload: by whom?
        ("03:00:09", True, "risk"),  # by a worker that is no more
        ("02:59:59", True, "risk"),  # it still had requests to end
        ("02:59:58", True, "intermittent"),  # a worker that ended later ended for another reason
    ],
)
def test_lines_of_workers_that_a_reload_replaced_are_past(since: str, ended: bool, severity: str) -> None:
    lines = [line("too_big_header", writer_ended=ended)]
    record = site(instances=[nginx(route(), workers_since=f"2026/11/21 {since}")], log=lines)
    assert [each.severity for each in diagnose(fleet(record)).findings if each.cause == "too_big_header"] == [severity]


@pytest.mark.parametrize(("size", "role"), [("4k", "upstream_keepalive"), ("16k", None)])
def test_what_is_past_is_no_reason_for_more_than_there_is_now(size: str, role: str | None) -> None:
    settings = {"proxy_buffer_size": [[size]]}
    site_now = nginx(route(), workers_since="2026/11/21 03:00:10", route_settings=[settings])
    record = site(instances=[site_now], log=[line("too_big_header")])
    (finding,) = [each for each in diagnose(fleet(record)).findings if each.cause == "too_big_header"]
    assert (finding.fix.role if finding.fix else None) == role


@pytest.mark.parametrize(
    ("kind", "signature", "told", "role"),
    [
        ("gunicorn", "gunicorn_worker_timeout", "closed_before_header", None),
        ("other", "uwsgi_listen_queue_full", "timeout_header", None),
        ("gunicorn", "", "too_big_header", "upstream_keepalive"),
        ("gunicorn", "", "timeout_header", None),
    ],
)
def test_what_settings_of_nginx_mend_is_mended_unasked(kind: str, signature: str, told: str, role: str | None) -> None:
    journals = [journal(said(signature))] if signature else []
    (finding,) = found(site(log=[line(told)], apps=[app(TCP, kind=kind)], journals=journals))
    assert (finding.fix.role if finding.fix else None) == role
    assert finding.fix is None or finding.fix.automatic


@pytest.mark.parametrize(
    ("told", "cause", "host", "subject"),
    [
        ("too_big_header", "too_big_header", "web1", "tcp:app1:8000"),
        ("invalid_header", "invalid_response_header", "app1", "shop.service"),
    ],
)
def test_what_nginx_mends_is_found_on_its_host(told: str, cause: str, host: str, subject: str) -> None:
    key = "tcp:10.0.0.2:8000"
    event: Any = {**log_event(key, signature=told), "upstream": "http://10.0.0.2:8000"}
    (finding,) = found(front("answered", log=[event]), back(apps=[app("tcp:0.0.0.0:8000")], units=[unit()]))
    assert (finding.cause, finding.host, finding.subject) == (cause, host, subject)
    assert "shop.service" in " ".join(each.text for each in finding.evidence)


def test_one_kind_of_lines_that_goes_on_is_enough() -> None:
    over = line(last="2026/11/21 03:00:04", first="2026/11/21 03:00:04")
    on = line("reset_before_header")
    journals = [journal(said("gunicorn_worker_timeout"))]
    read_anew = [nginx(route(), workers_since="2026/11/21 03:00:05")]
    timeout = "gunicorn_worker_timeout"
    assert causes(site(instances=read_anew, log=[over, on], journals=journals)) == [(timeout, "web1", "intermittent")]
    assert causes(site(instances=read_anew, log=[over], journals=journals)) == []


def test_the_unit_that_listens_is_asked_where_the_app_server_is_not_known() -> None:
    journals = [journal(said("gunicorn_worker_timeout"))]
    unknown = site(log=[line()], apps=[], listeners=[listener(TCP)], journals=journals)
    assert causes(unknown) == [("gunicorn_worker_timeout", "web1", "intermittent")]
