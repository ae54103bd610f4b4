# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults in nginx itself, or in its configuration."""

from __future__ import annotations

from .._model import Ask, Fault, Named, Part, Run, host
from .._stacks import NGINX, UPSTREAM_LOG, gunicorn, program, service, site
from ._response import WORKS
from ._tcp import REFUSED, RELOAD, SHOP, TO_8000, site_edit, unit_edit

NGINX_CONF = "/etc/nginx/nginx.conf"
IS_DOWN = (Ask((0,), times=1),)
NAMES = service("names", "/usr/bin/python3 dns.py answers", ports=(5353,))
BY_NAME = host(
    NGINX,
    UPSTREAM_LOG,
    site(
        "proxy_pass http://$backend:8000",
        server=(
            "    resolver 127.0.0.1:5353 ipv6=off valid=1s;\n    resolver_timeout 2s;\n    set $backend shop.internal;"
        ),
    ),
    gunicorn(),
    program("dns.py"),
    NAMES,
)
TWO_SERVERS = host(
    NGINX,
    UPSTREAM_LOG,
    site(
        "proxy_pass http://shop",
        http="upstream shop {\n    server 127.0.0.1:8000;\n    server 127.0.0.1:8001;\n}",
    ),
    gunicorn(),
    gunicorn("127.0.0.1:8001", name="shop2"),
)
GUARDED = host(
    NGINX,
    site(
        "proxy_pass http://127.0.0.1:8000",
        extra="        auth_request /auth;",
        server="    location = /auth {\n        internal;\n        proxy_pass http://127.0.0.1:8001;\n"
        '        proxy_pass_request_body off;\n        proxy_set_header Content-Length "";\n    }',
    ),
    gunicorn(),
    gunicorn("127.0.0.1:8001", name="auth"),
)
SLOTS = host(
    NGINX,
    UPSTREAM_LOG,
    site(
        "proxy_pass http://$slot",
        http=(
            "upstream blue {\n    server 127.0.0.1:8000;\n}\nupstream green {\n    server 127.0.0.1:8001;\n}\n"
            "map $arg_slot $slot {\n    default blue;\n    green green;\n}"
        ),
    ),
    gunicorn(),
    gunicorn("127.0.0.1:8001", name="shop2"),
)
NOT_THE_APP = ("app_not_running", "wrong_upstream_address", "endpoint_not_answering")

FAULTS = (
    Fault(
        "no_live_upstreams",
        "every server of the upstream is marked down",
        {"web": TWO_SERVERS},
        (Run(site_edit("s/\\(server 127.*\\);/\\1 down;/")),),
        REFUSED,
        (Named("no_live_upstreams"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "both_servers_stopped",
        "both servers of the upstream are stopped: no live upstream is a consequence",
        {"web": TWO_SERVERS},
        (Run("systemctl stop shop shop2"),),
        (Ask((502,), times=10),),
        (Named("app_not_running"), Named("app_not_running")),
        never=("no_live_upstreams", "wrong_upstream_address"),
    ),
    Fault(
        "slot_stopped",
        "a variable chooses between two app servers, and the one that it mostly chooses is stopped",
        {"web": SLOTS},
        (Run("systemctl stop shop"),),
        (*REFUSED, Ask((200,), path="/?slot=green")),
        (Named("app_not_running", severity="intermittent"),),
        never=("wrong_upstream_address", "no_live_upstreams"),
    ),
    Fault(
        "no_resolver",
        "a name in a variable, and no resolver",
        {"web": BY_NAME},
        (Run(site_edit("/resolver /d")),),
        REFUSED,
        (Named("no_resolver"),),
        never=("resolver_failed", *NOT_THE_APP),
    ),
    Fault(
        "resolver_down",
        "nginx's name server does not run",
        {"web": BY_NAME},
        (Run("systemctl stop names; sleep 2"),),
        (Ask((502,), times=2),),
        (Named("resolver_failed"),),
        never=("no_resolver", *NOT_THE_APP),
    ),
    Fault(
        "name_unknown",
        "nginx's name server does not know the app's name",
        {"web": BY_NAME},
        (
            Run(
                "sed -i 's/dns.py answers/dns.py nxdomain/' /etc/systemd/system/names.service; systemctl daemon-reload;"
                " systemctl restart names; sleep 2"
            ),
        ),
        REFUSED,
        (Named("resolver_failed"),),
        never=("no_resolver", *NOT_THE_APP),
    ),
    Fault(
        "bad_variable",
        "a variable makes an address that is none",
        {"web": BY_NAME},
        (Run(site_edit("s/:8000;/:port;/")),),
        (Ask((500,)),),
        (Named("bad_variable_url"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "few_connections",
        "nginx's workers have too few connections for the load",
        {"web": host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn(arguments="--workers 1 --threads 20"))},
        (
            Run(
                f"sed -i 's/worker_connections .*/worker_connections 10;/;"
                f" s/^worker_processes .*/worker_processes 1;/' {NGINX_CONF};"
                f" {RELOAD}"
            ),
            # Whom nginx has no room for gets no answer.
            Ask((0, 200, 500), path="/slow-1", times=30, at_once=30, patience=20),
        ),
        (Run("sleep 2"), *WORKS),
        (Named("worker_connections_exhausted", name=""),),
        never=NOT_THE_APP,
    ),
    Fault(
        "few_files",
        "nginx's workers may open too few files for the load",
        {"web": host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn(arguments="--workers 1 --threads 20"))},
        (
            Run(
                f"sed -i 's/^worker_processes .*/worker_processes 1; worker_rlimit_nofile 20;/' {NGINX_CONF}; {RELOAD}"
            ),
            # Whom nginx has no room for gets no answer.
            Ask((500, 0, 200), path="/slow-1", times=30, at_once=30, patience=20),
        ),
        (Run("sleep 2"), *WORKS),
        (Named("nofile_exhausted", name=""),),
        never=NOT_THE_APP,
    ),
    Fault(
        "bind_elsewhere",
        "proxy_bind names an address that the host does not have",
        {"web": SHOP},
        (Run(site_edit("s/proxy_set_header Host/proxy_bind 203.0.113.7; proxy_set_header Host/")),),
        (Ask((500,)),),
        (Named("proxy_bind_invalid"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "temporary_files_denied",
        "nginx may not write its temporary files",
        {"web": SHOP},
        (
            Run("chown -R root:root /var/lib/nginx; chmod -R go-rwx /var/lib/nginx"),
            Run(
                "for turn in 1 2; do curl -s -o /dev/null -m 3 --limit-rate 100k -H 'Host: shop.example'"
                " http://127.0.0.1/large-20 || true; done"
            ),
        ),
        WORKS,
        (Named("temp_path_denied_or_full"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "maintenance",
        "the configuration itself answers 502",
        {"web": SHOP},
        (Run(site_edit("s/proxy_pass /return 502; proxy_pass /")),),
        REFUSED,
        (Named("config_produces_502"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "auth_down",
        "the app that nginx asks for permission is stopped",
        {"web": GUARDED},
        (Run("systemctl stop auth"),),
        (Ask((500,)),),
        (Named("auth_request_upstream_down"),),
        also=("app_not_running",),
    ),
    Fault(
        "not_reloaded",
        "the app moved, nginx's file was edited, and nginx was not reloaded",
        {"web": SHOP},
        (
            Run(
                unit_edit("s/:8000/:8080/")
                + "; sleep 1.1; sed -i 's/:8000/:8080/' /etc/nginx/sites-enabled/shop.example.conf"
            ),
        ),
        REFUSED,
        (Named("reload_not_applied"),),
        never=NOT_THE_APP,
    ),
    Fault(
        "reload_refused",
        "the app moved, and a mistake in another site keeps nginx from taking the new address",
        {"web": SHOP},
        (
            Run(unit_edit("s/:8000/:8080/")),
            Run(
                "sleep 1.1; sed -i 's/:8000/:8080/' /etc/nginx/sites-enabled/shop.example.conf;"
                " echo 'server { listen 80; server_name blog.example; proxy_pas x; }'"
                " >/etc/nginx/sites-enabled/blog.conf;"
                " nginx -s reload || true"
            ),
        ),
        REFUSED,
        (Named("reload_not_applied"),),
        never=NOT_THE_APP,
        also=("nginx_config_invalid",),
    ),
    Fault(
        "host_not_found",
        "nginx does not start, because an upstream's name does not resolve",
        {"web": SHOP},
        (
            Run(
                "sed -i 's/127.0.0.1:8000/shop.invalid:8000/' /etc/nginx/sites-enabled/shop.example.conf;"
                " systemctl restart nginx || true"
            ),
        ),
        IS_DOWN,
        (Named("startup_host_not_found"),),
        never=("nginx_not_running", "app_not_running"),
    ),
    Fault(
        "config_invalid",
        "nginx does not start, because a directive is misspelt",
        {"web": SHOP},
        (
            Run(
                "sed -i 's/proxy_pass/proxy_pas/' /etc/nginx/sites-enabled/shop.example.conf;"
                " systemctl restart nginx || true"
            ),
        ),
        IS_DOWN,
        (Named("nginx_config_invalid", name=""),),
        never=("nginx_not_running", "app_not_running"),
    ),
    Fault(
        "nginx_stopped",
        "nginx is stopped",
        {"web": SHOP},
        (Run("systemctl stop nginx"),),
        IS_DOWN,
        (Named("nginx_not_running", name=""),),
        never=("app_not_running",),
    ),
    Fault(
        "disk_full",
        "logs of years leave no room for what the app writes when it starts",
        {"web": host(NGINX, Part(roles=("disk_full",)))},
        driven=REFUSED,
        first=(Named("disk_full"),),
        never=("app_not_running", "gunicorn_boot_error", "app_crash_loop"),
    ),
)
