# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What looks like a bad gateway and is none: nobody's fault, or nginx's neighbour's."""

from __future__ import annotations

from .._model import Ask, Fault, Run, host
from .._stacks import NGINX, UPSTREAM_LOG, gunicorn, peer, site
from ._response import WORKS
from ._tcp import SHOP, TO_8000

LOGGED = {"web": host(NGINX, UPSTREAM_LOG, TO_8000, gunicorn(arguments="--workers 2 --threads 4"))}

FAULTS = (
    Fault(
        "app_errors",
        "the app has faults of its own: it says 500 and 404",
        LOGGED,
        (Ask((500,), path="/500"), Ask((404,), path="/404")),
        WORKS,
    ),
    Fault(
        "app_errors_plain_log",
        "the same where the access log does not tell whose 500 it was",
        {"web": SHOP},
        (Ask((500,), path="/500"), Ask((404,), path="/404")),
        WORKS,
    ),
    Fault(
        "client_gave_up",
        "clients leave before the app has answered",
        LOGGED,
        (Ask((0,), path="/slow-3", patience=0.5),),
        (Run("sleep 3"), *WORKS),
    ),
    Fault(
        "truncated_body",
        "the app breaks off in the middle of a body; the status stays 200",
        {"web": host(NGINX, UPSTREAM_LOG, site("proxy_pass http://127.0.0.1:9000"), peer("cut"))},
        (Ask((0, 200)),),
    ),
    Fault(
        "nginx_says_503",
        "nginx itself limits requests",
        {
            "web": host(
                NGINX,
                site(
                    "proxy_pass http://127.0.0.1:8000",
                    http="limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;",
                    extra="        limit_req zone=one;",
                ),
                gunicorn(),
            )
        },
        (Ask((503, 200)),),
    ),
)
