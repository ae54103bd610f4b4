# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Healthy fleets of different shape: no outage, nothing intermittent."""

from __future__ import annotations

from .._model import Ask, Fault, Part, Run, host
from .._stacks import (
    CURRENT_NGINX,
    NGINX,
    UPSTREAM_LOG,
    gunicorn,
    node,
    peer,
    php_fpm,
    php_site,
    program,
    puma,
    service,
    site,
    uvicorn,
    uwsgi,
    uwsgi_site,
)
from ._across import BALANCED, BLOG, TWO_NGINX
from ._inside import BY_NAME, GUARDED, SLOTS
from ._response import KEEPING, WORKS
from ._tcp import TO_8000, WEB_AND_APP
from ._tls import TO_TLS
from ._unix import ACTIVATED, UWSGI_SHOP

#: An app that keeps idle connections longer than nginx does.
PATIENT_NODE = service("shop", "/usr/bin/node shop.js", settings="Environment=SHOP_IDLE=75000", ports=(3000,))
LUA = Part(
    files={
        "/etc/nginx/modules-enabled/50-mod-http-ndk.conf": "load_module modules/ndk_http_module.so;\n",
        "/etc/nginx/modules-enabled/60-mod-http-lua.conf": "load_module modules/ngx_http_lua_module.so;\n",
    }
)
LUA_BLOCK = (
    '        access_by_lua_block {\n            -- a brace } and a quote " in a comment\n'
    "            local t = { [\"}\"] = [[ } ]], x = 'brace }' }\n"
    "            if ngx.var.arg_no then return ngx.exit(403) end\n        }"
)
OLD_NOISE = (
    "2026/01/03 04:05:06 [error] 77#77: *1 connect() failed (111: Connection refused) while connecting to upstream,"
    ' client: 192.0.2.1, server: shop.example, request: "GET / HTTP/1.1",'
    ' upstream: "http://127.0.0.1:8000/", host: "shop.example"\n'
    "2026/01/03 04:05:07 [crit] 77#77: *2 connect() to unix:/run/gone.sock failed (2: No such file or directory)"
    ' while connecting to upstream, client: 192.0.2.1, server: old.example, request: "GET / HTTP/1.1",'
    ' upstream: "http://unix:/run/gone.sock:/", host: "old.example"\n'
)

FAULTS = (
    Fault("well_gunicorn", "gunicorn on TCP", {"web": host(NGINX, TO_8000, gunicorn())}, driven=WORKS),
    Fault(
        "well_keepalive",
        "upstream keepalive done right",
        {
            "web": host(
                NGINX,
                site(
                    "proxy_pass http://shop",
                    http="upstream shop {\n    server 127.0.0.1:3000;\n    keepalive 8;\n}",
                    extra=KEEPING,
                ),
                program("shop.js"),
                PATIENT_NODE,
                image="debian13",
            )
        },
        driven=(Ask((200,), times=10), Ask((200,), method="POST", body=10)),
    ),
    Fault("well_uwsgi", "uWSGI on a unix socket", {"web": UWSGI_SHOP}, driven=WORKS),
    Fault(
        "well_uwsgi_tcp", "uWSGI on TCP", {"web": host(NGINX, uwsgi_site(), uwsgi(), image="debian13")}, driven=WORKS
    ),
    Fault("well_node", "Node.js", {"web": host(NGINX, site("proxy_pass http://127.0.0.1:3000"), node())}, driven=WORKS),
    Fault("well_tls", "TLS to the app, with its name", {"web": host(NGINX, TO_TLS, peer("sni", 8443))}, driven=WORKS),
    Fault("well_resolver", "a name in a variable, and a resolver", {"web": BY_NAME}, driven=WORKS),
    Fault(
        "well_idle_slot",
        "a variable chooses between two app servers, and the other one is stopped on purpose",
        {"web": SLOTS},
        broken=(Run("systemctl disable --now shop2"),),
        driven=WORKS,
    ),
    Fault(
        "well_two_nginx",
        "two nginx on one host",
        {"web": TWO_NGINX},
        driven=(*WORKS, Ask((200,), name=BLOG, port=8081)),
    ),
    Fault(
        "well_lua",
        "Lua with braces in it",
        {"web": host(NGINX, LUA, site("proxy_pass http://127.0.0.1:8000", extra=LUA_BLOCK), gunicorn())},
        driven=WORKS,
    ),
    Fault("well_php", "PHP-FPM", {"web": host(NGINX, php_site(), php_fpm())}, driven=WORKS),
    Fault(
        "well_php_13",
        "PHP-FPM of the next release of Debian",
        {"web": host(NGINX, php_site("unix:/run/php/php8.4-fpm.sock"), php_fpm(version="8.4"), image="debian13")},
        driven=WORKS,
    ),
    Fault(
        "well_puma",
        "puma",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:9292"), puma())},
        driven=WORKS,
    ),
    Fault("well_uvicorn", "uvicorn", {"web": host(NGINX, TO_8000, uvicorn())}, driven=WORKS),
    Fault(
        "well_uvicorn_socket",
        "uvicorn on a unix socket",
        {
            "web": host(
                NGINX,
                site("proxy_pass http://unix:/run/shop/shop.sock"),
                uvicorn("--uds /run/shop/shop.sock", settings="RuntimeDirectory=shop", ports=()),
                image="debian13",
            )
        },
        driven=WORKS,
    ),
    Fault("well_activated", "socket activation", {"web": ACTIVATED}, driven=WORKS),
    Fault(
        "well_activated_idle",
        "socket activation, and no request yet: the service has not been started",
        {"web": ACTIVATED},
    ),
    Fault(
        "well_current",
        "the current nginx, which keeps upstream connections by itself",
        {
            "web": host(
                CURRENT_NGINX,
                site("proxy_pass http://shop", http="upstream shop {\n    server 127.0.0.1:3000;\n}"),
                program("shop.js"),
                PATIENT_NODE,
                image="debian13",
            )
        },
        driven=(Ask((200,), times=10),),
    ),
    Fault(
        "well_backup",
        "a server and a backup, both well",
        {
            "web": host(
                NGINX,
                site(
                    "proxy_pass http://shop",
                    http="upstream shop {\n    server 127.0.0.1:8000;\n    server 127.0.0.1:8001 backup;\n}",
                ),
                gunicorn(),
                gunicorn("127.0.0.1:8001", name="spare"),
            )
        },
        driven=WORKS,
    ),
    Fault(
        "well_ipv6",
        "IPv6 on both sides",
        {
            "web": host(
                NGINX, site("proxy_pass http://[::1]:8000", listen="[::]:80 ipv6only=off"), gunicorn("[::1]:8000")
            )
        },
        driven=WORKS,
    ),
    Fault(
        "well_old_noise",
        "the error log holds what was wrong long ago",
        {"web": host(NGINX, TO_8000, gunicorn(), Part(files={"/var/log/nginx/error.log": OLD_NOISE}))},
        driven=WORKS,
    ),
    Fault("well_across", "nginx and app on two hosts", WEB_AND_APP, driven=WORKS),
    Fault("well_balanced", "two app hosts behind one nginx", BALANCED, driven=(Ask((200,), times=6),)),
    Fault("well_guarded", "a site that asks an app for permission", {"web": GUARDED}, driven=WORKS),
    Fault(
        "well_firewalled",
        "a firewall that lets through what is needed",
        WEB_AND_APP,
        driven=(
            Run(
                "iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -p tcp -m multiport --dports 22,8000 -j ACCEPT;"
                " iptables -A INPUT -p tcp -m conntrack --ctstate ESTABLISHED -j ACCEPT || true;"
                " iptables -A INPUT -p tcp --dport 1:1023 -j DROP",
                host="app",
            ),
            *WORKS,
        ),
    ),
    Fault(
        "well_upstream_log",
        "a log that tells upstream statuses, and the app's own errors in it",
        {"web": host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn())},
        driven=(*WORKS, Ask((404,), path="/404")),
    ),
)
