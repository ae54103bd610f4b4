# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of unknown kind: which of them may be an app server, running or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener

#: Daemons that listen and are no app servers; the kernel cuts names at 15 characters.
_INFRASTRUCTURE = frozenset(
    [
        *("nginx", "openresty", "angie", "tengine", "haproxy", "envoy", "varnishd", "(systemd)", "init", "rpcbind"),
        *("mysqld", "mariadbd", "postgres", "postmaster", "redis-server", "valkey-server", "memcached", "mongod"),
        *("etcd", "beam.smp", "epmd", "dockerd", "docker-proxy", "conmon", "podman", "kubelet", "crio", "chronyd"),
        *("ntpd", "ntpsec", "master", "exim", "exim4", "dovecot", "smtpd", "named", "dnsmasq", "unbound", "cupsd"),
        *("cups-browsed", "avahi-daemon", "snmpd", "node_exporter", "telegraf", "collectd", "rsyslogd", "syslog-ng"),
        *("auditd", "polkitd", "NetworkManager", "acpid", "multipathd", "iscsid", "slapd", "nscd", "cron", "crond"),
        *("atd", "screen", "udevd", "snapd", "gssproxy", "winbindd", "smbd", "nmbd", "proftpd", "vsftpd", "xinetd"),
        *("tailscaled", "supervisord", "circusd"),
    ]
)
#: And how the names of others begin.
_FAMILIES = (
    *("sshd", "systemd", "dbus-", "rpc.", "clickhouse", "containerd", "kube-", "pdns", "zabbix_", "prometheus", "lvm"),
    *("sssd", "tmux", "fail2ban", "salt-", "puppet", "runsv", "s6-", "PM2 "),
)
#: Daemons behind which app servers are.
_STARTS_OR_PASSES = frozenset(["supervisord", "dockerd", "haproxy", "envoy", "varnishd"])


def _is_infrastructure(name: str) -> bool:
    return name in _INFRASTRUCTURE or name.startswith(_FAMILIES)


def may_be_app(listener: Listener) -> bool:
    """A listener of a process that is no known daemon. Abstract sockets are not reachable for nginx."""
    name = listener["process"]
    if name is None or _is_infrastructure(name):
        return False
    return listener["transport"] == "tcp" or listener["address"].startswith("/")


def may_serve(facts: UnitFacts, processes: Sequence[Process]) -> bool:
    """Whether a unit of some program that does not run, and should, may be what nginx misses."""
    unit, name = facts.unit, Path(facts.argv[0]).name if facts.argv else ""
    known = _is_infrastructure(name) and name not in _STARTS_OR_PASSES
    wanted = unit["unit_file_state"].startswith("enabled") or unit["active_state"] in ("failed", "activating")
    stays = unit["raw"].get("Type") != "oneshot" and not any(one.endswith(".timer") for one in unit["triggered_by"])
    return bool(name) and not known and wanted and stays and not processes and unit["active_state"] != "active"
