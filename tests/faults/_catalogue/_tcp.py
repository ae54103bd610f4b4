# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on the way to a TCP endpoint."""

from __future__ import annotations

from .._model import Ask, Fault, Named, Run, host, listens, until
from .._stacks import NGINX, UPSTREAM_LOG, gunicorn, node, peer, program, service, site

TO_8000 = site("proxy_pass http://127.0.0.1:8000")
#: A firewall that drops shows in two seconds instead of sixty.
IMPATIENT = "        proxy_connect_timeout 2s;"
TO_APP = site("proxy_pass http://@app@:8000", extra=IMPATIENT)
SHOP = host(NGINX, TO_8000, gunicorn())
NODE = host(NGINX, site("proxy_pass http://127.0.0.1:3000"), node())
WEB_AND_APP = {"web": host(NGINX, TO_APP), "app": host(gunicorn("0.0.0.0:8000"))}
REFUSED = (Ask((502,)),)
DROPPED = (Ask((504,), times=1),)
#: sysctls of a container's own network can be written once /proc/sys can.
WRITABLE = "mount -o remount,rw /proc/sys"
GAVE_UP = "[ $(systemctl show -P ActiveState shop) = failed ]"
SYNTAX_ERROR_IN_NODE = "echo 'throw new Error(\"no database\")' >/srv/app/shop.js"


def unit_edit(expression: str) -> str:
    """Edit the shop's unit and try to restart it."""
    edit = f"sed -i '{expression}' /etc/systemd/system/shop.service; systemctl daemon-reload"
    return f"{edit}; systemctl restart shop || true"


#: Returns once the old workers are gone, so that no request can meet one of them.
RELOAD = "old=$(echo $(pgrep -P $(cat /run/nginx.pid)) | tr ' ' ,); nginx -s reload && " + until(
    "! ps -p $old >/dev/null"
)


def restarted(times: int) -> str:
    """Wait until systemd has restarted the shop so many times."""
    return until(f"[ $(systemctl show -P NRestarts shop) -ge {times} ]")


def site_edit(expression: str) -> str:
    """Edit the shop's site and reload nginx."""
    return f"sed -i '{expression}' /etc/nginx/sites-enabled/shop.example.conf && nginx -t -q && {RELOAD}"


def hold(port_or_path: str, number: int) -> str:
    """Take so many places of a listener's queue, until the host goes."""
    return f"systemd-run --quiet --collect /usr/bin/python3 /srv/app/hold.py {port_or_path} {number} && sleep 1"


HOLD = program("hold.py")

FAULTS = (
    Fault(
        "app_stopped",
        "somebody stopped the app",
        {"web": SHOP},
        (Run("systemctl stop shop"),),
        REFUSED,
        (Named("app_not_running", severity="outage"),),
        never=("wrong_upstream_address", "endpoint_not_answering"),
    ),
    Fault(
        "app_killed",
        "the app was killed and nothing restarts it",
        {"web": host(NGINX, TO_8000, gunicorn(settings="Restart=no"))},
        (Run("systemctl kill --signal=KILL shop; sleep 0.5"),),
        REFUSED,
        (Named("app_not_running"),),
    ),
    Fault(
        "program_stopped",
        "a program of its own kind is stopped, beside an app server that no route leads to",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://127.0.0.1:9000"),
                peer("answers"),
                gunicorn("127.0.0.1:8001", name="shop2"),
            )
        },
        (Run("systemctl stop shop"),),
        REFUSED,
        (Named("app_not_running"),),
        never=("wrong_upstream_address",),
    ),
    Fault(
        "app_disabled",
        "the app was disabled, so it did not come up with the host",
        {"web": NODE},
        (Run("systemctl disable --now --quiet shop"),),
        REFUSED,
        (Named("app_not_running"),),
    ),
    Fault(
        "crash_loop",
        "the app starts, dies and is started again",
        {"web": NODE},
        (Run(f"{SYNTAX_ERROR_IN_NODE}; systemctl restart shop; {restarted(2)}"),),
        REFUSED,
        (Named("app_crash_loop"),),
        never=("app_not_running",),
    ),
    Fault(
        "start_limit",
        "the app died so often that systemd gave up",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://127.0.0.1:3000"),
                node(),
                # A minute instead of ten seconds, in which a busy machine could not start it five times.
                service("shop", "/usr/bin/node shop.js", settings="RestartSec=100ms", unit="StartLimitIntervalSec=60"),
            )
        },
        (Run(f"{SYNTAX_ERROR_IN_NODE}; systemctl restart shop; {until(GAVE_UP)}"),),
        REFUSED,
        (Named("app_start_limit_hit"),),
        never=("app_crash_loop", "app_not_running"),
    ),
    Fault(
        "exec_path",
        "the unit's program is not there",
        {"web": SHOP},
        (Run(unit_edit("s|/usr/bin/gunicorn|/opt/shop/venv/bin/gunicorn|")),),
        REFUSED,
        (Named("app_exec_failed"),),
        never=("app_crash_loop", "app_not_running", "app_start_limit_hit"),
    ),
    Fault(
        "exec_directory",
        "the unit's working directory is gone",
        {"web": SHOP},
        (Run(unit_edit("s|^WorkingDirectory=.*|WorkingDirectory=/srv/gone|")),),
        REFUSED,
        (Named("app_exec_failed"),),
    ),
    Fault(
        "exec_user",
        "the unit's user does not exist",
        {"web": SHOP},
        (Run(unit_edit("s|^User=.*|User=gone|")),),
        REFUSED,
        (Named("app_exec_failed"),),
    ),
    Fault(
        "boot_error",
        "a worker of gunicorn cannot import what the app needs",
        {"web": SHOP},
        (Run(f"echo 'import no_such_module' >>/srv/app/shop_app.py; systemctl restart shop; {restarted(1)}"),),
        REFUSED,
        (Named("gunicorn_boot_error"),),
        never=("app_crash_loop", "app_not_running"),
    ),
    Fault(
        "boot_error_13",
        "gunicorn is told a name that the app's module does not have",
        {"web": host(NGINX, TO_8000, gunicorn(), image="debian13")},
        (Run(unit_edit("s|shop_app:application|shop_app:aplication|") + "; " + restarted(1)),),
        REFUSED,
        (Named("gunicorn_boot_error"),),
    ),
    Fault(
        "port_conflict",
        "a stray process holds the app's port",
        {"web": host(NGINX, TO_8000, gunicorn(), program("peer.py"))},
        (
            Run(
                "systemctl stop shop; systemd-run --quiet --unit=stray python3 /srv/app/peer.py closes 8000;"
                f" {listens(8000)};"
                f" systemctl start --no-block shop; {restarted(1)}"
            ),
        ),
        REFUSED,
        (Named("app_port_conflict"),),
        never=("app_not_running", "app_crash_loop"),
    ),
    Fault(
        "wrong_port",
        "nginx points at a port on which nothing listens",
        {"web": SHOP},
        (Run(site_edit("s/:8000/:8001/")),),
        REFUSED,
        (Named("wrong_upstream_address", severity="outage"),),
        never=("app_not_running",),
    ),
    Fault(
        "app_moved",
        "the app was moved to another port, and nginx was not told",
        {"web": SHOP},
        (Run(unit_edit("s/:8000/:8080/")),),
        REFUSED,
        (Named("wrong_upstream_address"),),
        never=("app_not_running",),
    ),
    Fault(
        "port_from_environment",
        "a PORT in the environment moved gunicorn from its default address",
        {
            "web": host(
                NGINX,
                TO_8000,
                program("shop_app.py"),
                service("shop", "/usr/bin/gunicorn shop_app:application", kind="notify"),
            )
        },
        (Run(unit_edit("s/^User=/Environment=PORT=5000\\nUser=/")),),
        REFUSED,
        (Named("wrong_upstream_address"),),
        never=("app_not_running",),
    ),
    Fault(
        "loopback_family",
        "the app listens on ::1 alone, nginx asks 127.0.0.1",
        {"web": NODE},
        (Run(unit_edit("s/^User=/Environment=SHOP_LISTEN=::1\\nUser=/") + "; " + listens(3000)),),
        REFUSED,
        (Named("loopback_family_mismatch"),),
        never=("wrong_upstream_address", "app_not_running"),
    ),
    Fault(
        "private_network",
        "the app's unit has a network of its own",
        {"web": SHOP},
        (Run(unit_edit("s/^User=/PrivateNetwork=yes\\nUser=/")),),
        REFUSED,
        (Named("netns_or_interface_mismatch"),),
        never=("wrong_upstream_address", "app_not_running"),
    ),
    Fault(
        "loopback_only",
        "the app of another host listens on that host's loopback alone",
        WEB_AND_APP,
        (Run(unit_edit("s/0.0.0.0:8000/127.0.0.1:8000/"), host="app"),),
        REFUSED,
        (Named("netns_or_interface_mismatch", host="app"),),
        never=("wrong_upstream_address", "app_not_running", "firewall_reject"),
    ),
    Fault(
        "restart_window",
        "every deployment stops the app for a moment",
        {"web": host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn())},
        (
            Run(
                "for deployment in 1 2 3; do systemctl stop shop;"
                " for request in 1 2 3; do curl -s -o /dev/null -H 'Host: shop.example' http://127.0.0.1/; done;"
                " systemctl start shop; sleep 1;"
                " for request in 1 2 3 4 5 6; do curl -s -o /dev/null -H 'Host: shop.example' http://127.0.0.1/; done;"
                " done"
            ),
        ),
        (Ask((200,)),),
        (Named("restart_window", severity="intermittent"),),
        never=("app_not_running", "wrong_upstream_address"),
    ),
    Fault(
        "reject_loopback",
        "a local firewall rejects what nginx sends to the app",
        {"web": SHOP},
        (Run("iptables -A OUTPUT -o lo -p tcp --dport 8000 -j REJECT"),),
        REFUSED,
        (Named("firewall_reject"),),
        never=("app_not_running", "wrong_upstream_address"),
    ),
    Fault(
        "reject_owner",
        "a rule rejects nginx's user alone: root connects",
        {"web": SHOP},
        (
            Run(
                "iptables -A OUTPUT -m owner --uid-owner www-data -p tcp --dport 8000 -j REJECT --reject-with tcp-reset"
            ),
        ),
        REFUSED,
        (Named("firewall_reject"),),
        never=("app_not_running", "wrong_upstream_address"),
    ),
    Fault(
        "reject_on_app_host",
        "nftables on the app's host prohibits its port",
        WEB_AND_APP,
        (
            Run(
                "nft add table inet guard; nft 'add chain inet guard input { type filter hook input priority 0; }';"
                " nft add rule inet guard input iifname != lo tcp dport 8000 counter"
                " reject with icmpx type admin-prohibited",
                host="app",
            ),
        ),
        REFUSED,
        (Named("firewall_reject", host="app"),),
        never=("app_not_running", "netns_or_interface_mismatch", "upstream_host_unreachable"),
    ),
    Fault(
        "drop_on_app_host",
        "the firewall of the app's host drops connections silently",
        WEB_AND_APP,
        (Run("iptables -A INPUT -p tcp --dport 8000 -j DROP", host="app"),),
        DROPPED,
        (Named("firewall_drop", host="app"),),
        never=("app_slow", "tcp_backlog_overflow", "upstream_host_unreachable"),
    ),
    Fault(
        "drop_outgoing",
        "nginx's own host drops what goes to the app",
        WEB_AND_APP,
        (
            Run(
                "nft add table ip out; nft 'add chain ip out o { type filter hook output priority 0; }';"
                " nft add rule ip out o tcp dport 8000 counter drop"
            ),
        ),
        DROPPED,
        (Named("firewall_drop"),),
        never=("app_slow", "tcp_backlog_overflow"),
    ),
    Fault(
        "no_route",
        "a route sends what is for the app's host nowhere",
        WEB_AND_APP,
        (Run("ip route add unreachable $(getent ahostsv4 @app@ | head -n 1 | cut -d' ' -f1)/32"),),
        REFUSED,
        (Named("upstream_host_unreachable"),),
        never=("app_not_running", "firewall_reject"),
    ),
    Fault(
        "stale_dns",
        "the app's name moved to another address after nginx had read it",
        {
            "web": host(NGINX, UPSTREAM_LOG, site("proxy_pass http://@old@:8000"), gunicorn("0.0.0.0:8000")),
            "old": host(gunicorn("0.0.0.0:8000")),
        },
        (
            Run("systemctl disable --now --quiet shop", host="old"),
            Run("sed 's/^.*@old@.*$/127.0.0.1 @old@/' /etc/hosts >/tmp/hosts && cat /tmp/hosts >/etc/hosts"),
        ),
        REFUSED,
        (Named("stale_dns_address"),),
        never=("wrong_upstream_address",),
    ),
    Fault(
        "no_ephemeral_ports",
        "every local port towards the app is in use",
        {"web": host(NGINX, TO_8000, gunicorn(arguments="--workers 2 --backlog 64"), HOLD)},
        (Run(f"{WRITABLE}; sysctl -q -w 'net.ipv4.ip_local_port_range=40000 40009'"), Run(hold("8000", 10))),
        REFUSED,
        (Named("ephemeral_ports_exhausted"),),
        never=("ipv6_unavailable", "app_not_running"),
    ),
    Fault(
        "ipv6_off",
        "nginx asks [::1] where IPv6 is switched off",
        {"web": host(NGINX, site("proxy_pass http://[::1]:8000"), gunicorn("[::]:8000"))},
        (Run(f"{WRITABLE}; sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"),),
        REFUSED,
        (Named("ipv6_unavailable"),),
        never=("ephemeral_ports_exhausted", "wrong_upstream_address"),
    ),
    Fault(
        "backlog_full",
        "the app hangs and its queue is full",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://127.0.0.1:8000", extra=IMPATIENT),
                gunicorn(arguments="--workers 1 --backlog 1"),
                HOLD,
            )
        },
        (Run("systemctl kill --signal=STOP shop"), Run(hold("8000", 6))),
        DROPPED,
        (Named("tcp_backlog_overflow"),),
        never=("firewall_drop", "app_slow"),
    ),
    Fault(
        "backlog_under_load",
        "the queue overflows while there is load, and only then",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                site("proxy_pass http://127.0.0.1:8000", extra=IMPATIENT.replace("2s", "1s")),
                gunicorn(arguments="--workers 1 --backlog 2"),
            )
        },
        (Ask((504, 200), path="/slow-1", times=12, at_once=12),),
        (Ask((200,)),),
        (Named("tcp_backlog_overflow", severity="intermittent"),),
        never=("firewall_drop", "app_slow", "app_not_running"),
    ),
)
