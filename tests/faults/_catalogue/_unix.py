# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on the way to a unix socket."""

from __future__ import annotations

from .._model import Ask, Fault, Named, Part, Run, host
from .._stacks import NGINX, UPSTREAM_LOG, gunicorn, service, site, uwsgi, uwsgi_site
from ._tcp import HOLD, REFUSED, hold, restarted, site_edit, unit_edit

SOCKET = "/run/shop/shop.sock"
TO_SOCKET = site(f"proxy_pass http://unix:{SOCKET}")
SHOP = host(NGINX, TO_SOCKET, gunicorn(f"unix:{SOCKET}"))
NEVER = ("app_not_running", "wrong_upstream_address")
UWSGI = uwsgi(f"socket {SOCKET} --chmod-socket=660", settings="RuntimeDirectory=shop")
UWSGI_SHOP = host(NGINX, uwsgi_site(f"unix:{SOCKET}"), UWSGI)

SOCKET_ACTIVATION = Part(
    files={
        "/etc/systemd/system/shop.socket": (
            f"[Unit]\nDescription=The shop's socket\n[Socket]\nListenStream={SOCKET}\nSocketUser=www-data\n"
            "[Install]\nWantedBy=sockets.target\n"
        ),
        **service(
            "shop",
            "/usr/bin/gunicorn --workers 2 shop_app:application",
            kind="notify",
            unit="Requires=shop.socket\nAfter=shop.socket",
        ).files,
    },
    enabled=("shop.socket",),
)
ACTIVATED = host(NGINX, TO_SOCKET, gunicorn(f"unix:{SOCKET}"), SOCKET_ACTIVATION)

FAULTS = (
    Fault(
        "socket_deleted",
        "somebody removed the socket file of a running app",
        {"web": SHOP},
        (Run(f"rm {SOCKET}"),),
        REFUSED,
        (Named("socket_missing"),),
        never=NEVER,
    ),
    Fault(
        "socket_app_stopped",
        "the app is stopped, and its socket went with it",
        {"web": SHOP},
        (Run("systemctl stop shop"),),
        REFUSED,
        (Named("app_not_running"),),
        never=("socket_missing", "runtime_dir_gone", "wrong_upstream_address"),
    ),
    Fault(
        "socket_elsewhere",
        "the app listens on another path than nginx asks",
        {"web": SHOP},
        (Run(unit_edit("s|/run/shop/shop.sock|/run/shop/gunicorn.sock|")),),
        REFUSED,
        (Named("wrong_upstream_address"),),
        never=("app_not_running", "runtime_dir_gone", "socket_missing"),
    ),
    Fault(
        "socket_trailing_colon",
        "an upstream's server ends in a colon, which becomes part of the path",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://shop", http=f"upstream shop {{\n    server unix:{SOCKET};\n}}"),
                gunicorn(f"unix:{SOCKET}"),
            )
        },
        (Run(site_edit("s|shop.sock;|shop.sock:;|")),),
        REFUSED,
        (Named("socket_path_syntax"),),
        never=(*NEVER, "socket_missing"),
    ),
    Fault(
        "socket_missing_colon",
        "the colon between socket and URI is missing",
        {"web": SHOP},
        (Run(site_edit("s|shop.sock;|shop.sock/api/;|")),),
        REFUSED,
        (Named("socket_path_syntax"),),
        never=(*NEVER, "socket_missing", "socket_wrong_type"),
    ),
    Fault(
        "private_tmp",
        "the app's unit has a /tmp of its own",
        {"web": host(NGINX, site("proxy_pass http://unix:/tmp/shop.sock"), gunicorn("unix:/tmp/shop.sock"))},
        (Run(unit_edit("s/^User=/PrivateTmp=yes\\nUser=/")),),
        REFUSED,
        (Named("socket_hidden_by_private_tmp"),),
        never=(*NEVER, "socket_missing"),
    ),
    Fault(
        "runtime_dir_gone",
        "nothing makes the socket's directory in /run any more",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://unix:/run/store/shop.sock"),
                gunicorn("unix:/run/store/shop.sock"),
                Part(
                    files={
                        "/etc/tmpfiles.d/store.conf": "d /run/store 0755 app www-data -\n",
                        **service(
                            "shop",
                            "/usr/bin/gunicorn --bind unix:/run/store/shop.sock shop_app:application",
                            kind="notify",
                        ).files,
                    }
                ),
            )
        },
        (
            Run(
                "systemctl stop shop; rm -r /run/store /etc/tmpfiles.d/store.conf; systemctl start --no-block shop;"
                f" {restarted(1)}"
            ),
        ),
        REFUSED,
        (Named("runtime_dir_gone"),),
        never=(*NEVER, "socket_missing", "app_crash_loop"),
    ),
    Fault(
        "socket_stale",
        "the app was killed, its socket file is still there",
        {
            "web": host(
                NGINX, TO_SOCKET, gunicorn(f"unix:{SOCKET}", settings="RuntimeDirectoryPreserve=yes\nRestart=no")
            )
        },
        (Run("systemctl kill --signal=KILL shop; sleep 0.5"),),
        REFUSED,
        (Named("socket_stale"),),
        never=("socket_permission", "wrong_upstream_address"),
    ),
    Fault(
        "old_instance",
        "an old instance of the app ended late, and took the new one's socket file with it",
        {
            "web": host(
                NGINX,
                TO_SOCKET,
                gunicorn(f"unix:{SOCKET}"),
                service(
                    "shop-old",
                    f"/usr/bin/gunicorn --bind unix:{SOCKET} shop_app:application",
                    kind="notify",
                    settings="RuntimeDirectory=shop\nRuntimeDirectoryPreserve=yes",
                    enabled=False,
                ),
            )
        },
        (Run("systemctl start shop-old; systemctl restart shop; sleep 1; systemctl stop shop-old; sleep 0.5"),),
        REFUSED,
        (Named("socket_unlinked_by_old_instance"),),
        never=NEVER,
    ),
    Fault(
        "directory_closed",
        "nginx may not pass the socket's directory",
        {"web": SHOP},
        (Run("chown app:app /run/shop; chmod 0700 /run/shop"),),
        REFUSED,
        (Named("socket_permission"),),
        never=(*NEVER, "socket_missing", "socket_stale"),
    ),
    Fault(
        "socket_not_writable",
        "uWSGI makes its socket by its umask, and nginx may not write to it",
        {"web": UWSGI_SHOP},
        (
            Run(unit_edit("s/ --chmod-socket=660//; s/^Group=.*/Group=app/") + "; true"),
            Run("groupadd -f app; systemctl restart shop"),
        ),
        REFUSED,
        (Named("socket_permission"),),
        never=(*NEVER, "protocol_mismatch_uwsgi"),
    ),
    Fault(
        "queue_full",
        "the app hangs and the queue of its socket is full",
        {"web": host(NGINX, TO_SOCKET, gunicorn(f"unix:{SOCKET}", arguments="--workers 1 --backlog 1"), HOLD)},
        (Run("systemctl kill --signal=STOP shop"), Run(hold(SOCKET, 6))),
        REFUSED,
        (Named("unix_backlog_full"),),
        never=NEVER,
    ),
    Fault(
        "queue_under_load",
        "the socket's queue overflows while there is load, and only then",
        {"web": host(NGINX, UPSTREAM_LOG, TO_SOCKET, gunicorn(f"unix:{SOCKET}", arguments="--workers 1 --backlog 1"))},
        (Ask((502, 200), path="/slow-1", times=12, at_once=12),),
        (Ask((200,)),),
        (Named("unix_backlog_full", severity="intermittent"),),
        never=NEVER,
    ),
    Fault(
        "datagram_socket",
        "nginx points at a socket of another type",
        {"web": SHOP},
        (Run(site_edit("s|/run/shop/shop.sock|/run/systemd/journal/dev-log|")),),
        REFUSED,
        (Named("socket_wrong_type"),),
        never=("app_not_running", "socket_missing"),
    ),
    Fault(
        "file_in_path",
        "a part of the socket's path is a file",
        {"web": SHOP},
        (Run(site_edit("s|/run/shop/shop.sock|/etc/hostname/shop.sock|")),),
        REFUSED,
        (Named("socket_wrong_type"),),
        never=("app_not_running", "socket_missing"),
    ),
    Fault(
        "socket_unit_stopped",
        "the socket unit that owns the listener is stopped",
        {"web": ACTIVATED},
        (Run("systemctl stop shop.socket shop.service"),),
        REFUSED,
        (Named("socket_unit_failed"),),
        never=("socket_missing", "wrong_upstream_address"),
    ),
    Fault(
        "activated_boot_error",
        "what the socket starts cannot load its app, until systemd gives up",
        {"web": ACTIVATED},
        # As gunicorn documents it, without Restart=: the next connection starts it again.
        (Run(unit_edit("/^Restart/d; s/shop_app:/shop_ap:/") + "; systemctl stop shop"),),
        REFUSED,
        (Named("gunicorn_boot_error"),),
        never=("socket_unit_failed", "app_port_conflict", *NEVER),
    ),
    Fault(
        "socket_slashes",
        "as uWSGI's documentation writes it, and the app is stopped",
        {"web": host(NGINX, uwsgi_site(f"unix://{SOCKET}"), UWSGI)},
        (Run("systemctl stop shop"),),
        REFUSED,
        (Named("app_not_running"),),
        never=("socket_missing", "wrong_upstream_address"),
    ),
)
