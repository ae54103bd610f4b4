# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults across hosts, two at once, and one sick site beside healthy ones."""

from __future__ import annotations

from .._model import Ask, Fault, Named, Part, Run, host
from .._stacks import NGINX, UPSTREAM_LOG, gunicorn, php_fpm, php_site, program, service, site
from ._response import WORKS
from ._tcp import REFUSED, TO_8000, TO_APP, WEB_AND_APP, site_edit, unit_edit

BLOG = "blog.example"
BLOG_SICK = (Ask((502,), name=BLOG),)
SOCKET = "/run/blog/blog.sock"
TO_BLOG = site(f"proxy_pass http://unix:{SOCKET}", name=BLOG)
SHOP_AND_BLOG = host(NGINX, TO_8000, gunicorn(), TO_BLOG, gunicorn(f"unix:{SOCKET}", name="blog"))

#: A second nginx on the host, with files and a unit of its own.
SECOND_NGINX = Part(
    files={
        "/etc/nginx-b/nginx.conf": (
            "user www-data;\npid /run/nginx-b.pid;\nerror_log /var/log/nginx/b-error.log;\nevents {}\nhttp {\n"
            "    access_log /var/log/nginx/b-access.log;\n    server {\n        listen 8081;\n"
            f"        server_name {BLOG};\n        location / {{\n            proxy_pass http://127.0.0.1:8001;\n"
            "        }\n    }\n}\n"
        ),
        "/etc/systemd/system/nginx-b.service": (
            "[Unit]\nDescription=A second nginx\nAfter=network.target\n"
            "[Service]\nType=forking\nPIDFile=/run/nginx-b.pid\n"
            "ExecStart=/usr/sbin/nginx -c /etc/nginx-b/nginx.conf\nExecReload=/bin/kill -HUP $MAINPID\n"
            "[Install]\nWantedBy=multi-user.target\n"
        ),
    },
    enabled=("nginx-b.service",),
)
TWO_NGINX = host(NGINX, TO_8000, gunicorn(), SECOND_NGINX, gunicorn("127.0.0.1:8001", name="blog"))

GROUP = "upstream shop {\n    server @app1@:8000;\n    server @app2@:8000;\n}"
BALANCED = {
    "web": host(NGINX, UPSTREAM_LOG, site("proxy_pass http://shop", http=GROUP)),
    "app1": host(gunicorn("0.0.0.0:8000")),
    "app2": host(gunicorn("0.0.0.0:8000"), image="debian13"),
}
FAULTS = (
    Fault(
        "app_host_stopped",
        "the app of another host is stopped",
        WEB_AND_APP,
        (Run("systemctl stop shop", host="app"),),
        REFUSED,
        (Named("app_not_running", host="app", severity="outage"),),
        never=("wrong_upstream_address", "upstream_host_unreachable", "firewall_reject"),
    ),
    Fault(
        "app_host_wrong_port",
        "nginx asks another host at a port on which nothing listens",
        WEB_AND_APP,
        (Run(site_edit("s/:8000/:8001/")),),
        REFUSED,
        (Named("wrong_upstream_address"),),
        never=("app_not_running", "firewall_reject"),
    ),
    Fault(
        "app_host_worker_timeout",
        "the app of another host ends its own slow requests",
        {
            "web": host(NGINX, UPSTREAM_LOG, TO_APP),
            "app": host(gunicorn("0.0.0.0:8000", arguments="--workers 2 --timeout 2")),
        },
        (Ask((502,), path="/slow-10", times=2),),
        WORKS,
        (Named("gunicorn_worker_timeout", host="app"),),
        never=("app_not_running", "keepalive_race", "firewall_reject"),
    ),
    Fault(
        "shared_app",
        "two hosts with nginx share one app, which is stopped: one finding, both routes",
        {
            "web": host(NGINX, TO_APP),
            "edge": host(NGINX, TO_APP, image="debian13"),
            "app": host(gunicorn("0.0.0.0:8000")),
        },
        (Run("systemctl stop shop", host="app"),),
        (*REFUSED, Ask((502,), host="edge")),
        (Named("app_not_running", host="app"),),
        never=("wrong_upstream_address",),
    ),
    Fault(
        "one_of_two",
        "one of an upstream's two servers is stopped, and the other one hides it",
        BALANCED,
        (Run("systemctl stop shop", host="app2"),),
        (Ask((200,), times=8),),
        (Named("app_not_running", host="app2", severity="risk"),),
        never=("no_live_upstreams", "wrong_upstream_address"),
    ),
    Fault(
        "one_of_two_dropped",
        "one of two servers drops connections, so that every other request is slow",
        {
            **BALANCED,
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                site("proxy_pass http://shop", http=GROUP, extra="        proxy_connect_timeout 1s;"),
            ),
        },
        (Run("iptables -A INPUT -p tcp --dport 8000 -j DROP", host="app1"),),
        (Ask((200,), times=4),),
        (Named("firewall_drop", host="app1"),),
        never=("no_live_upstreams", "app_not_running", "app_slow"),
    ),
    Fault(
        "two_at_once",
        "one host: the shop has a wrong port, the blog's app is stopped",
        {"web": SHOP_AND_BLOG},
        (Run(site_edit("s/:8000/:8001/")), Run("systemctl stop blog")),
        (*REFUSED, *BLOG_SICK),
        (Named("wrong_upstream_address"), Named("app_not_running", name=BLOG)),
        never=("socket_missing", "runtime_dir_gone"),
    ),
    Fault(
        "two_at_once_in_logs",
        "one host: the shop's workers time out, the blog's socket is closed to nginx",
        {
            "web": host(
                NGINX,
                TO_8000,
                gunicorn(arguments="--workers 2 --timeout 2"),
                TO_BLOG,
                gunicorn(f"unix:{SOCKET}", name="blog"),
            )
        },
        (Ask((502,), path="/slow-10", times=2), Run("chown app:app /run/blog; chmod 0700 /run/blog")),
        (*WORKS, *BLOG_SICK),
        (Named("socket_permission", name=BLOG), Named("gunicorn_worker_timeout")),
        never=("app_not_running", "wrong_upstream_address"),
    ),
    Fault(
        "one_site_of_three",
        "three sites on one nginx, and one of them is sick",
        {
            "web": host(
                NGINX,
                TO_8000,
                gunicorn(),
                TO_BLOG,
                gunicorn(f"unix:{SOCKET}", name="blog"),
                site("proxy_pass http://127.0.0.1:3000", name="docs.example"),
                service("docs", "/usr/bin/node shop.js", ports=(3000,)),
                program("shop.js"),
            )
        },
        (Run("systemctl stop docs"),),
        (*WORKS, Ask((200,), name=BLOG), Ask((502,), name="docs.example")),
        (Named("app_not_running", name="docs.example"),),
        never=("wrong_upstream_address",),
    ),
    Fault(
        "second_nginx_sick",
        "two nginx on one host, and only what the second one serves is sick",
        {"web": TWO_NGINX},
        (Run("systemctl stop blog"),),
        (*WORKS, Ask((502,), name=BLOG, port=8081)),
        (Named("app_not_running", name=BLOG),),
        never=("nginx_not_running", "wrong_upstream_address"),
    ),
    Fault(
        "php_beside_python",
        "PHP-FPM is stopped beside a healthy app",
        {"web": host(NGINX, php_site(), php_fpm(), TO_BLOG, gunicorn(f"unix:{SOCKET}", name="blog"))},
        (Run("systemctl stop php8.2-fpm"),),
        (*REFUSED, Ask((200,), name=BLOG)),
        (Named("app_not_running"),),
        never=("socket_missing", "wrong_upstream_address", "runtime_dir_gone"),
    ),
    Fault(
        "app_host_moved",
        "the app of another host was moved to another port",
        WEB_AND_APP,
        (Run(unit_edit("s/:8000/:8080/"), host="app"),),
        REFUSED,
        (Named("wrong_upstream_address"),),
        never=("app_not_running", "firewall_reject"),
    ),
)
