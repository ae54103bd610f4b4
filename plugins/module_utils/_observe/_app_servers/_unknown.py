# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of unknown kind: which of them may be an app server, running or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts

#: Daemons that listen and are no app servers; the kernel cuts names at 15 characters.
_INFRASTRUCTURE = re.compile(
    r"(?:nginx|openresty|angie|tengine|haproxy|envoy|varnishd|sshd.*|systemd.*|\(systemd\)|init|dbus-.*|rpcbind|rpc\..*|"
    r"mysqld|mariadbd|postgres|postmaster|redis-server|valkey-server|memcached|mongod|clickhouse.*|etcd|beam\.smp|epmd|"
    r"dockerd|containerd.*|docker-proxy|conmon|podman|kubelet|kube-.*|crio|chronyd|ntpd|ntpsec|master|exim4?|dovecot|smtpd|"
    r"named|dnsmasq|unbound|pdns.*|cupsd|cups-browsed|avahi-daemon|snmpd|zabbix_.*|node_exporter|prometheus.*|telegraf|"
    r"collectd|rsyslogd|syslog-ng|auditd|polkitd|NetworkManager|acpid|lvm.*|multipathd|iscsid|slapd|sssd.*|nscd|"
    r"cron|crond|atd|screen|tmux.*|udevd|snapd|fail2ban.*|gssproxy|winbindd|smbd|nmbd|proftpd|vsftpd|xinetd|tailscaled|"
    r"salt-.*|puppet.*|supervisord|PM2 .*|circusd|runsv.*|s6-.*)$"
)
#: Daemons behind which app servers are.
_STARTS_OR_PASSES = re.compile(r"(?:supervisord|dockerd|haproxy|envoy|varnishd)$")


def may_be_app(listener: Listener) -> bool:
    """A listener of a process that is no known daemon. Abstract sockets are not reachable for nginx."""
    name = listener["process"]
    if name is None or _INFRASTRUCTURE.match(name):
        return False
    return listener["transport"] == "tcp" or listener["address"].startswith("/")


def may_serve(facts: UnitFacts, processes: Sequence[Process]) -> bool:
    """Whether a unit of some program that does not run, and should, may be what nginx misses."""
    unit, name = facts.unit, Path(facts.argv[0]).name if facts.argv else ""
    known = _INFRASTRUCTURE.match(name) and not _STARTS_OR_PASSES.match(name)
    wanted = unit["unit_file_state"].startswith("enabled") or unit["active_state"] in ("failed", "activating")
    stays = unit["raw"].get("Type") != "oneshot" and not any(one.endswith(".timer") for one in unit["triggered_by"])
    return bool(name) and not known and wanted and stays and not processes and unit["active_state"] != "active"
