# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What app servers, systemd and the kernel print, version by version."""

from __future__ import annotations

import re

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_grammar import (
    ANY,
    ends_traceback,
    told,
)

GUNICORN = "[2026-11-21 08:21:45 +0000] [120]"
FPM = "[21-Nov-2026 08:21:52] WARNING: [pool www]"

MESSAGES = [
    ("gunicorn 20.1", f"{GUNICORN} [CRITICAL] WORKER TIMEOUT (pid:155)", "gunicorn_worker_timeout", None),
    (
        "gunicorn 20.1",
        f"{GUNICORN} [WARNING] Worker with pid 155 was terminated due to signal 9",
        "gunicorn_worker_sigkill",
        None,
    ),
    (
        "gunicorn 21.2",
        f"{GUNICORN} [ERROR] Worker (pid:155) was sent SIGKILL! Perhaps out of memory?",
        "gunicorn_worker_sigkill",
        None,
    ),
    (
        "gunicorn 20.1",
        f"{GUNICORN} [WARNING] Worker with pid 219 was terminated due to signal 11",
        "gunicorn_worker_signal",
        "SIGSEGV",
    ),
    ("gunicorn 21.2", f"{GUNICORN} [ERROR] Worker (pid:219) was sent SIGSEGV!", "gunicorn_worker_signal", "SIGSEGV"),
    ("gunicorn 23.0", f"{GUNICORN} [ERROR] Worker (pid:928) exited with code 1", "gunicorn_worker_exited", "1"),
    ("gunicorn 20.1", f"{GUNICORN} [INFO] Handling signal: hup", "gunicorn_reload", None),
    ("gunicorn 20.1", f"{GUNICORN} [ERROR] Exception in worker process", "gunicorn_boot_error", None),
    ("gunicorn 20.1", f"{GUNICORN} [INFO] Reason: Worker failed to boot.", "gunicorn_boot_error", None),
    ("gunicorn 22", f"{GUNICORN} [ERROR] Reason: App failed to load.", "gunicorn_app_failed_to_load", None),
    (
        "gunicorn 20.1",
        f"{GUNICORN} [ERROR] Connection in use: ('127.0.0.1', 7001)",
        "gunicorn_connection_in_use",
        "('127.0.0.1', 7001)",
    ),
    (
        "gunicorn unix",
        f"{GUNICORN} [ERROR] Connection in use: /run/a.sock",
        "gunicorn_connection_in_use",
        "/run/a.sock",
    ),
    (
        "gunicorn 20.1",
        f"{GUNICORN} [ERROR] Can't connect to ('127.0.0.1', 7001)",
        "gunicorn_cannot_connect",
        "('127.0.0.1', 7001)",
    ),
    (
        "gunicorn 20.1",
        f"{GUNICORN} [INFO] Autorestarting worker after current request.",
        "gunicorn_autorestart",
        None,
    ),
    ("gunicorn 20.1", f"{GUNICORN} [INFO] Booting worker with pid: 210", "gunicorn_booting_worker", None),
    (
        "uvicorn 0.17, Python 3.11",
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 7001): address already in use",
        "uvicorn_address_in_use",
        "('127.0.0.1', 7001)",
    ),
    (
        "uvicorn, Python 3.13",
        "ERROR:    [errno 98] error while attempting to bind on address ('::1', 1, 0, 0): address already in use",
        "uvicorn_address_in_use",
        "('::1', 1, 0, 0)",
    ),
    (
        "uvicorn 0.17",
        'ERROR:    Error loading ASGI app. Could not import module "nosuch".',
        "uvicorn_import_error",
        'Could not import module "nosuch".',
    ),
    ("uvicorn 0.30", "INFO:     Child process [178] died", "uvicorn_child_died", None),
    ("uvicorn 0.17", "WARNING:  Exceeded concurrency limit.", "uvicorn_limit_concurrency", None),
    (
        "Node.js 18",
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:7001",
        "node_eaddrinuse",
        "127.0.0.1:7001",
    ),
    ("Node.js 10", "Error: listen EADDRINUSE :::3000", "node_eaddrinuse", ":::3000"),
    ("uWSGI 2.0.21", "invalid request block size: 21573 (max 4096)...skip", "uwsgi_invalid_block", "21573"),
    (
        "uWSGI 2.0.21",
        'Sat Nov 21 08:21:49 2026 - *** uWSGI listen queue of socket "127.0.0.1:7010" (fd: 3) full !!! (101/100) ***',
        "uwsgi_listen_queue_full",
        "127.0.0.1:7010",
    ),
    (
        "uWSGI 2.0.21",
        "Sat Nov 21 08:21:49 2026 - *** HARAKIRI ON WORKER 1 (pid: 167, try: 1) ***",
        "uwsgi_harakiri",
        None,
    ),
    (
        "uWSGI 2.0.21",
        "DAMN ! worker 1 (pid: 167) died, killed by signal 9 :( trying respawn ...",
        "uwsgi_worker_died",
        "SIGKILL",
    ),
    ("uWSGI 2.0.21", "DAMN ! worker 1 (pid: 214) died :( trying respawn ...", "uwsgi_worker_died", None),
    ("uWSGI 2.0.21", "...gracefully killing workers...", "uwsgi_reload", "gracefully"),
    ("uWSGI 2.0.21", "*** no app loaded. going in full dynamic mode ***", "uwsgi_no_app", None),
    ("uWSGI need-app", "*** no app loaded. GAME OVER ***", "uwsgi_no_app", None),
    (
        "uWSGI 2.0.21",
        "--- no python application found, check your startup logs for errors ---",
        "uwsgi_no_app",
        None,
    ),
    (
        "uWSGI 2.0.21",
        "Listen queue size is greater than the system max net.core.somaxconn (4096).",
        "uwsgi_listen_over_somaxconn",
        "4096",
    ),
    (
        "uWSGI 2.0.21",
        "probably another instance of uWSGI is running on the same address (127.0.0.1:7001).",
        "port_in_use",
        "127.0.0.1:7001",
    ),
    (
        "PHP-FPM 8.2",
        f"{FPM} child 200, script '/srv/slow.php' (request: \"GET \") execution timed out (2.188246 sec), terminating",
        "phpfpm_timed_out",
        "www",
    ),
    (
        "PHP-FPM 8.2",
        f"{FPM} server reached pm.max_children setting (5), consider raising it",
        "phpfpm_max_children",
        "www: 5",
    ),
    (
        "PHP-FPM ondemand",
        f"{FPM} server reached max_children setting (5), consider raising it",
        "phpfpm_max_children",
        "www: 5",
    ),
    (
        "PHP-FPM 8.2",
        f"{FPM} child 200 exited on signal 11 (SIGSEGV) after 12.190677 seconds from start",
        "phpfpm_child_signal",
        "www: SIGSEGV",
    ),
    (
        "PHP-FPM 8.2",
        "[21-Nov-2026 08:43:56] ERROR: Another FPM instance seems to already listen on /run/php.sock",
        "phpfpm_already_listening",
        "/run/php.sock",
    ),
    (
        "PHP-FPM 7",
        "[21-Nov-2026 08:21:42] ERROR: An another FPM instance seems to already listen on /run/php.sock",
        "phpfpm_already_listening",
        "/run/php.sock",
    ),
    (
        "PHP-FPM 8.2",
        "ERROR: unable to bind listening socket for address '127.0.0.1:7030': Address already in use (98)",
        "port_in_use",
        "127.0.0.1:7030",
    ),
    (
        "puma 5.6",
        "[174] ! Terminating timed out worker (worker failed to check in within 60 seconds): 181",
        "puma_worker_timeout",
        None,
    ),
    ("puma 3", "[174] ! Terminating timed out worker: 181", "puma_worker_timeout", None),
    (
        "puma 5.6, Ruby 3.1",
        "/usr/lib/puma/cluster/worker.rb:136: [BUG] Segmentation fault at 0x0000000000000065",
        "puma_worker_died",
        "Segmentation fault",
    ),
    ("puma, Ruby", "/srv/x.rb:1: [BUG] unknown type 0x22", "puma_worker_died", "unknown type 0x22"),
    ("puma 5.6", "There is already a server bound to: /run/puma.sock", "puma_bound", "/run/puma.sock"),
    (
        "puma 5.6",
        "binder.rb:341:in `initialize': Address already in use - bind(2) for port 7020 (Errno::EADDRINUSE)",
        "port_in_use",
        None,
    ),
    ("Python", "OSError: [Errno 28] No space left on device: '/var/x'", "no_space_left", None),
    ("Python", "OSError: [Errno 24] Too many open files", "too_many_files", None),
    (
        "nginx console",
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
        "nginx_emerg",
        "bind() to 0.0.0.0:80 failed (98: Address already in use)",
    ),
    (
        "nginx 1.22 on stderr",
        '2026/11/21 08:22:00 [emerg] 231#231: host not found in upstream "app" in /etc/nginx/nginx.conf:1',
        "nginx_emerg",
        'host not found in upstream "app" in /etc/nginx/nginx.conf:1',
    ),
    ("systemd 252", "a.service: A process of this unit has been killed by the OOM killer.", "systemd_oom_kill", None),
    (
        "systemd 252",
        "a.service: Scheduled restart job, restart counter is at 5.",
        "systemd_scheduled_restart",
        None,
    ),
    ("systemd 252", "Started a.service - The shop.", "systemd_started", None),
    ("systemd 252", "a.service: Start request repeated too quickly.", "systemd_start_limit", None),
    ("systemd 252", "a.service: Failed with result 'exit-code'.", "systemd_failed_result", "exit-code"),
    (
        "systemd 252",
        "a.service: Failed at step EXEC spawning /srv/app/run: Permission denied",
        "systemd_exec_failed",
        "EXEC",
    ),
    (
        "Linux 6",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/a.service,"
        "task_memcg=/system.slice/a.service,task=gunicorn,pid=812,uid=33",
        "kernel_oom_cgroup",
        "/system.slice/a.service",
    ),
    (
        "Linux 6",
        "Memory cgroup out of memory: Killed process 812 (gunicorn) total-vm:1000kB, anon-rss:900kB",
        "kernel_oom_killed",
        "gunicorn",
    ),
    ("Linux 4", "Out of memory: Kill process 812 (node) score 900 or sacrifice child", "kernel_oom_killed", "node"),
    (
        "Linux 6",
        "gunicorn[812]: segfault at 0 ip 00007f sp 00007f error 4 in x.so[7f0,1000] likely on CPU 1 (core 1, socket 0)",
        "kernel_segfault",
        "x.so",
    ),
    (
        "Linux 6",
        "TCP: request_sock_TCP: Possible SYN flooding on port 127.0.0.1:8000. Sending cookies.",
        "kernel_syn_flooding",
        "127.0.0.1:8000",
    ),
    ("Linux 6", "nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack_table_full", None),
    (
        "Linux 6",
        "nf_conntrack: nf_conntrack: table full in netns 4026532300, dropping packet",
        "conntrack_table_full",
        None,
    ),
    (
        "Linux 6",
        'audit: type=1400 audit(1.1:2): apparmor="DENIED" operation="open" profile="/usr/sbin/nginx"',
        "apparmor_denied",
        "/usr/sbin/nginx",
    ),
    (
        "Linux 6",
        'audit: type=1400 audit(1.1:2): avc:  denied  { name_connect } for  pid=1 comm="nginx" dest=8000',
        "avc_denied",
        "name_connect",
    ),
]


@pytest.mark.parametrize(
    ("message", "signature", "detail"),
    [pytest.param(*rest, id=f"{version} {rest[1]}") for version, *rest in MESSAGES],
)
def test_messages(message: str, signature: str, detail: str | None) -> None:
    about = told(message)
    assert about is not None
    assert (about.signature, about.detail) == (signature, detail)
    assert re.search(ANY, message), "journalctl would leave it out"


@pytest.mark.parametrize(
    "message",
    [
        "",
        '127.0.0.1 - - [21/Nov/2026:08:21:45 +0000] "GET /ready HTTP/1.0" 200 2 "-" "curl"',
        f"{GUNICORN} [INFO] Listening at: http://127.0.0.1:7001 (120)",
        "Stopped shop.service - The shop.",
        f"{GUNICORN} [INFO] Handling signal: term",
        f"{GUNICORN} [WARNING] Worker with pid 219 was terminated due to signal 15",
        f"{GUNICORN} [ERROR] Worker (pid:219) was sent SIGTERM!",
        f"{FPM} child 200 exited on signal 15 (SIGTERM) after 2.190677 seconds from start",
        "INFO:     Started server process [134]",
        "detected number of CPU cores: 2",
    ],
)
def test_messages_of_every_day(message: str) -> None:
    assert told(message) is None
    assert not re.search(ANY, message)


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("ModuleNotFoundError: No module named 'nosuch'", True),
        ("django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty", True),
        ("KeyboardInterrupt", True),
        ('  File "/srv/app.py", line 1, in <module>', False),
        ("Errors were found", False),
        ("INFO: ready", False),
    ],
)
def test_last_lines_of_tracebacks(line: str, ends: bool) -> None:
    assert ends_traceback(line) == ends


def test_a_traceback_in_one_message() -> None:
    about = told("failed\nTraceback (most recent call last):\n  File x\nValueError: no number\n")
    assert about is not None
    assert (about.signature, about.detail) == ("python_traceback", "ValueError: no number")
