# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults after the connection: what the app does, or does not do, with a request."""

from __future__ import annotations

from .._model import Ask, Fault, Host, Named, Part, Run, host, listens
from .._stacks import (
    NGINX,
    UPSTREAM_LOG,
    gunicorn,
    node,
    peer,
    php_fpm,
    php_site,
    service,
    site,
    uwsgi,
    uwsgi_site,
)
from ._tcp import REFUSED, TO_8000, site_edit, unit_edit

HURRIED = "        proxy_read_timeout 2s;"
WORKS = (Ask((200,)),)
NEVER = ("app_not_running", "wrong_upstream_address")


def gunicorn_host(arguments: str, *, image: str = "debian12", memory: str = "") -> Host:
    return host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn(arguments=arguments), image=image, memory=memory)


def peer_turns(mode: str, *, image: str = "debian12") -> tuple[dict[str, Host], tuple[Run]]:
    """A peer that answers well, and the step that makes it misbehave."""
    well = host(NGINX, site("proxy_pass http://127.0.0.1:9000", extra=HURRIED), peer("answers"), image=image)
    return {"web": well}, (Run(unit_edit(f"s/ answers 9000/ {mode} 9000/") + "; " + listens(9000)),)


KEEPING = '        proxy_http_version 1.1;\n        proxy_set_header Connection "";'
POST = "curl -s -o /dev/null -m 5 -H 'Host: shop.example' -d x=1 http://127.0.0.1/"
#: Node's idle timer and a new request meet: the connection is closed with the request unread.
RACE = (
    f"for race in 1 2 3; do {POST}; sleep 0.3; systemctl kill --signal=STOP shop; {POST} & sleep 1.5;"
    " systemctl kill --signal=CONT shop; wait; done"
)

FAULTS = (
    Fault(
        "worker_timeout",
        "a handler takes longer than gunicorn's timeout",
        {"web": gunicorn_host("--workers 2 --timeout 2")},
        (Ask((502,), path="/slow-10", times=2),),
        WORKS,
        (Named("gunicorn_worker_timeout"),),
        never=(*NEVER, "worker_oom_killed", "worker_crash", "keepalive_race"),
    ),
    Fault(
        "worker_timeout_13",
        "a handler does not even let gunicorn end it, so that it is killed; gunicorn guesses at memory",
        {"web": gunicorn_host("--workers 2 --timeout 2", image="debian13")},
        (Ask((502,), path="/busy-10", times=1),),
        WORKS,
        (Named("gunicorn_worker_timeout"),),
        never=(*NEVER, "worker_oom_killed", "worker_crash", "keepalive_race"),
    ),
    Fault(
        "out_of_memory",
        "a handler takes more memory than there is, and the kernel kills the worker",
        {"web": gunicorn_host("--workers 2", image="debian13", memory="256m")},
        (Ask((502,), path="/hog-800", times=2),),
        WORKS,
        (Named("worker_oom_killed"),),
        never=(*NEVER, "gunicorn_worker_timeout", "worker_crash"),
    ),
    Fault(
        "crash_gunicorn",
        "native code of the app crashes gunicorn's worker",
        {"web": gunicorn_host("--workers 2", image="debian13")},
        (Ask((502,), path="/segfault", times=2),),
        WORKS,
        (Named("worker_crash"),),
        never=(*NEVER, "worker_oom_killed", "gunicorn_worker_timeout"),
    ),
    Fault(
        "worker_exits",
        "the app ends its process",
        {"web": gunicorn_host("--workers 2", image="debian13")},
        (),
        (Ask((502,), path="/exit-1"), Ask((200,))),
        (Named("worker_crash"),),
        never=("worker_recycle", "app_not_running"),
    ),
    Fault(
        "crash_uwsgi",
        "native code of the app crashes uWSGI's worker",
        {"web": host(NGINX, UPSTREAM_LOG, uwsgi_site(), uwsgi())},
        (Ask((502,), path="/segfault", times=2),),
        WORKS,
        (Named("worker_crash"),),
        never=(*NEVER, "worker_oom_killed"),
    ),
    Fault(
        "crash_php",
        "a child of PHP-FPM crashes",
        {"web": host(NGINX, php_site(), php_fpm())},
        (Ask((502,), path="/killed", times=2),),
        WORKS,
        (Named("worker_crash"),),
        never=(*NEVER, "phpfpm_terminated"),
    ),
    Fault(
        "keepalive_race",
        "the app closes idle connections while nginx still reuses them",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                site(
                    "proxy_pass http://shop",
                    http="upstream shop {\n    server 127.0.0.1:3000;\n    keepalive 8;\n}",
                    extra=KEEPING,
                ),
                node(),
            )
        },
        (Run(unit_edit("s/^User=/Environment=SHOP_IDLE=1000\\nUser=/") + "; " + listens(3000)), Run(RACE)),
        WORKS,
        (Named("keepalive_race", severity="intermittent"),),
        never=(*NEVER, "worker_crash", "restart_window"),
    ),
    Fault(
        "worker_recycle",
        "a reload has no mercy with workers that still answer",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                uwsgi_site(),
                uwsgi(arguments="--processes 1 --reload-mercy 1 --worker-reload-mercy 1"),
            )
        },
        (
            Run(
                "for turn in 1 2 3; do curl -s -o /dev/null -m 8 -H 'Host: shop.example' http://127.0.0.1/slow-4 &"
                " sleep 0.5; systemctl kill --kill-who=main --signal=HUP shop; wait; sleep 1; done"
            ),
        ),
        WORKS,
        (Named("worker_recycle", severity="intermittent"),),
        never=(*NEVER, "keepalive_race", "worker_oom_killed"),
    ),
    Fault(
        "http_to_uwsgi",
        "nginx speaks HTTP to a socket that speaks uwsgi",
        {"web": host(NGINX, uwsgi_site(), uwsgi())},
        (Run(site_edit("s|uwsgi_pass |proxy_pass http://|")),),
        REFUSED,
        (Named("protocol_mismatch_uwsgi"),),
        never=(*NEVER, "uwsgi_header_too_big"),
    ),
    Fault(
        "uwsgi_to_http",
        "nginx speaks uwsgi to an app that speaks HTTP",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:3000"), node())},
        (Run(site_edit("s|proxy_pass http://|include uwsgi_params; uwsgi_read_timeout 2s; uwsgi_pass |")),),
        (Ask((400, 502, 504)),),
        (Named("protocol_mismatch_uwsgi"),),
        never=NEVER,
    ),
    Fault(
        "uwsgi_large_header",
        "a cookie is larger than uWSGI's buffer",
        {"web": host(NGINX, uwsgi_site(), uwsgi())},
        (
            Run(
                "for request in 1 2 3; do curl -s -o /dev/null -H 'Host: shop.example'"
                " -H \"Cookie: $(head -c 6000 /dev/zero | tr '\\0' x)\" http://127.0.0.1/; done"
            ),
        ),
        WORKS,
        (Named("uwsgi_header_too_big"),),
        never=(*NEVER, "protocol_mismatch_uwsgi", "too_big_header"),
    ),
    Fault(
        "fastcgi_to_http",
        "nginx speaks FastCGI to an app that speaks HTTP",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:3000"), node())},
        (Run(site_edit("s|proxy_pass http://|include fastcgi_params; fastcgi_pass |")),),
        REFUSED,
        (Named("protocol_mismatch_fastcgi"),),
        never=NEVER,
    ),
    Fault(
        "http_to_php",
        "nginx speaks HTTP to PHP-FPM",
        {"web": host(NGINX, php_site(), php_fpm())},
        (Run(site_edit("s|fastcgi_pass unix:\\(.*\\);|proxy_pass http://unix:\\1;|")),),
        REFUSED,
        (Named("protocol_mismatch_fastcgi"),),
        never=NEVER,
    ),
    Fault(
        "harakiri",
        "uWSGI ends a request that takes too long",
        {"web": host(NGINX, UPSTREAM_LOG, uwsgi_site(), uwsgi(arguments="--processes 2 --harakiri 2"))},
        (Ask((502,), path="/slow-10", times=2),),
        WORKS,
        (Named("uwsgi_harakiri"),),
        never=(*NEVER, "worker_crash", "worker_oom_killed"),
    ),
    Fault(
        "uwsgi_no_app",
        "uWSGI runs without an app",
        {"web": host(NGINX, uwsgi_site(), uwsgi())},
        (Run(unit_edit("s/--wsgi-file shop_app.py//")),),
        (Ask((500,)),),
        (Named("uwsgi_app_missing"),),
        never=NEVER,
    ),
    Fault(
        "php_terminated",
        "PHP-FPM ends a request that takes too long",
        {"web": host(NGINX, php_site(), php_fpm(pool="request_terminate_timeout = 2s"))},
        (Ask((502,), path="/slow-10", times=2),),
        WORKS,
        (Named("phpfpm_terminated"),),
        never=(*NEVER, "worker_crash"),
    ),
    Fault(
        "php_saturated",
        "PHP-FPM has too few children for the load",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                php_site(extra="        fastcgi_read_timeout 2s;"),
                php_fpm(pool="pm = dynamic\npm.max_children = 2\npm.start_servers = 1\npm.max_spare_servers = 1"),
            )
        },
        (Ask((504, 200), path="/slow-1", times=10, at_once=10),),
        (Run("sleep 4"), *WORKS),
        (Named("phpfpm_saturated", severity="intermittent"),),
        never=(*NEVER, "app_slow"),
    ),
    Fault(
        "pool_saturated",
        "all workers are busy while there is load",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                site("proxy_pass http://127.0.0.1:8000", extra=HURRIED),
                gunicorn(arguments="--workers 1"),
            )
        },
        (Ask((504, 200), path="/slow-1", times=8, at_once=8),),
        (Run("sleep 6"), *WORKS),
        (Named("app_pool_saturated", severity="intermittent"),),
        never=(*NEVER, "tcp_backlog_overflow", "firewall_drop"),
    ),
    Fault(
        "app_slow",
        "one handler takes longer than nginx waits",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                site("proxy_pass http://127.0.0.1:8000", extra=HURRIED),
                gunicorn(arguments="--workers 2 --threads 4"),
            )
        },
        (Ask((504,), path="/slow-4", times=2),),
        (Ask((200,), times=10),),
        (Named("app_slow"),),
        never=(*NEVER, "tcp_backlog_overflow", "firewall_drop", "gunicorn_worker_timeout"),
    ),
    Fault(
        "large_header",
        "the app's header is larger than nginx's buffer",
        {"web": gunicorn_host("--workers 2")},
        (Ask((502,), path="/header-9000"),),
        WORKS,
        (Named("too_big_header"),),
        never=NEVER,
    ),
    Fault(
        "header_twice",
        "the app sends Content-Length twice",
        *peer_turns("double", image="debian13"),
        REFUSED,
        (Named("invalid_response_header"),),
        never=(*NEVER, "not_http_upstream"),
    ),
    Fault(
        "header_mixed",
        "the app sends Content-Length and Transfer-Encoding",
        *peer_turns("mixed", image="debian13"),
        REFUSED,
        (Named("invalid_response_header"),),
        never=(*NEVER, "not_http_upstream"),
    ),
    Fault(
        "redis_behind_http",
        "what answers does not speak HTTP",
        *peer_turns("redis"),
        (Ask((9, 200)),),
        (Named("not_http_upstream"),),
        never=NEVER,
    ),
    Fault(
        "early_close",
        "the app closes on a large upload without reading it",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:9000"), peer("answers"))},
        (Run(unit_edit("s/ answers 9000/ early 9000/") + "; " + listens(9000)),),
        (Ask((502,), method="POST", body=900_000),),
        (Named("early_close_upload"),),
        never=(*NEVER, "worker_crash"),
    ),
    *(
        Fault(
            f"early_close_in_{name}",
            f"the app closes on a large upload, and nginx's log of it is in the journal, by way of {way}",
            {"web": host(NGINX, site("proxy_pass http://127.0.0.1:9000"), peer("answers"))},
            (
                Run(unit_edit("s/ answers 9000/ early 9000/") + "; " + listens(9000)),
                Run(f"sed -i 's|^ *error_log .*|error_log {to};|' /etc/nginx/nginx.conf; systemctl restart nginx"),
            ),
            (Ask((502,), method="POST", body=900_000),),
            (Named("early_close_upload"),),
            never=(*NEVER, "worker_crash"),
        )
        for name, way, to in (
            ("stderr", "its standard error", "stderr"),
            ("syslog", "syslog", "syslog:server=unix:/dev/log"),
        )
    ),
    Fault(
        "grpc_to_http",
        "nginx speaks gRPC to an app that speaks HTTP/1",
        {"web": host(NGINX, TO_8000, gunicorn())},
        (Run(site_edit("s|proxy_pass http://|grpc_read_timeout 2s; grpc_pass grpc://|")),),
        REFUSED,
        (Named("http2_or_grpc_mismatch"),),
        never=NEVER,
    ),
    Fault(
        "app_says_502",
        "the app itself says 502",
        {"web": gunicorn_host("--workers 2")},
        (Ask((502,), path="/502"),),
        WORKS,
        (Named("app_said_502"),),
        never=(*NEVER, "keepalive_race", "worker_crash"),
    ),
    Fault(
        "app_says_503",
        "the app itself says 503",
        {
            "web": host(
                NGINX,
                UPSTREAM_LOG,
                TO_8000,
                Part(files=gunicorn().files),
                service("shop", "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop_app:application", kind="notify"),
            )
        },
        (Ask((503,), path="/503"),),
        WORKS,
        (Named("app_said_503"),),
        never=NEVER,
    ),
)
