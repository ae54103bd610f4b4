# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of causes that can be named, each with a sentence for people. docs/causes has a page for each."""

from __future__ import annotations

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
    "endpoint_not_answering": "An endpoint does not answer nginx as it should",
}
