# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of causes that can be named, each with a sentence for people. docs/causes has a page for each."""

from __future__ import annotations

#: Where the pages are, also for whoever reads a report on a machine without the collection.
_PAGES = "https://github.com/sre-bad-gateway/sre.bad_gateway/blob/main/docs/causes"

TITLES = {
    "app_not_running": "The app server does not run",
    "wrong_upstream_address": "nginx points where no app server listens",
    "socket_missing": "The app server's socket file is gone",
    "startup_host_not_found": "An upstream host name does not resolve",
    "nginx_config_invalid": "nginx refuses its configuration",
    "nginx_not_running": "nginx does not run",
    "app_not_supervised": "Nothing restarts the app server when it ends",
    "app_not_enabled": "The app server does not come back after a reboot",
    "app_crash_loop": "The app server starts and dies again and again",
    "app_start_limit_hit": "systemd has given up restarting the app server",
    "app_exec_failed": "systemd cannot run the app server's command",
    "gunicorn_boot_error": "gunicorn cannot load the app",
    "app_port_conflict": "Another process has the app server's port",
    "loopback_family_mismatch": "App server and nginx use different loopback addresses",
    "netns_or_interface_mismatch": "The app server listens where nginx cannot come",
    "restart_window": "Restarts of the app server are visible to clients",
    "firewall_reject": "A packet filter rejects nginx's connections",
    "firewall_drop": "nginx's connections vanish on the way",
    "upstream_host_unreachable": "No way leads to the app server's host",
    "stale_dns_address": "nginx still uses an old address of a name",
    "ephemeral_ports_exhausted": "No local port is left towards the app server",
    "ipv6_unavailable": "nginx uses an IPv6 address on a host without IPv6",
    "selinux_tcp_denied": "SELinux does not let nginx connect",
    "tcp_backlog_overflow": "The app server's TCP queue is full",
    "conntrack_full": "The kernel's table of connections is full",
    "socket_path_syntax": "A colon or a URI became part of the socket's path",
    "socket_hidden_by_private_tmp": "The socket lies in a private /tmp",
    "runtime_dir_gone": "The directory of the socket is gone",
    "socket_stale": "A socket file that nobody listens on was left behind",
    "socket_unlinked_by_old_instance": "An old instance took the socket file with it",
    "socket_permission": "nginx may not use the socket",
    "selinux_unix_denied": "A security module keeps nginx from the socket",
    "unix_backlog_full": "The queue of the app server's socket is full",
    "socket_wrong_type": "What is at the socket's path is no stream socket",
    "socket_unit_failed": "The .socket unit of the app server is down",
    "unit_killed_by_oom_policy": "Out of memory, and systemd ended the whole app server",
    "disk_full": "The disk is full, and the app server cannot start",
    "https_to_plain_backend": "nginx speaks TLS to an app server that does not",
    "tls_sni_missing_or_alert": "The app server refuses nginx's TLS handshake",
    "tls_verify_failed": "nginx does not trust the app server's certificate",
    "tls_timeout": "The app server does not answer the TLS handshake",
    "protocol_mismatch_uwsgi": "One of the two speaks uwsgi, the other does not",
    "protocol_mismatch_fastcgi": "One of the two speaks FastCGI, the other does not",
    "http2_or_grpc_mismatch": "nginx speaks HTTP/2 to an app server that does not",
    "not_http_upstream": "What answers does not speak HTTP",
    "gunicorn_worker_timeout": "gunicorn kills workers that take too long",
    "worker_oom_killed": "Workers are killed for memory",
    "worker_crash": "Workers of the app server crash",
    "worker_recycle": "Workers that are replaced drop requests",
    "keepalive_race": "The app server closes connections that nginx still uses",
    "uwsgi_header_too_big": "Requests are larger than uWSGI's buffer",
    "uwsgi_harakiri": "uWSGI kills workers that take too long",
    "uwsgi_app_missing": "uWSGI runs without an app",
    "phpfpm_terminated": "PHP-FPM ends requests that take too long",
    "phpfpm_saturated": "PHP-FPM has too few children",
    "app_pool_saturated": "All workers of the app server are busy",
    "app_slow": "The app takes longer than nginx waits",
    "too_big_header": "The app's headers are larger than nginx's buffer",
    "invalid_response_header": "nginx does not accept the app's headers",
    "early_close_upload": "The app server closes on uploads that it has not read",
    "app_said_502": "The app server itself answers 502",
    "app_said_503": "The app server itself answers 503",
    "no_live_upstreams": "No server of the upstream is left",
    "no_resolver": "nginx has no resolver for a name in a variable",
    "resolver_failed": "nginx's resolver does not find a name",
    "bad_variable_url": "A variable makes an address that is none",
    "worker_connections_exhausted": "nginx's workers have no connection left",
    "nofile_exhausted": "nginx's workers may not open more files",
    "proxy_bind_invalid": "nginx shall connect from an address it does not have",
    "temp_path_denied_or_full": "nginx cannot write its temporary files",
    "config_produces_502": "The configuration itself answers 502",
    "auth_request_upstream_down": "The app that is asked for permission is down",
    "reload_not_applied": "nginx runs with an older configuration",
    "endpoint_not_answering": "An endpoint does not answer nginx as it should",
}


def page(cause: str) -> str:
    """The address of the page about a cause."""
    return f"{_PAGES}/{cause}.md"
