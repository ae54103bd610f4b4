# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults in the TLS between nginx and the app."""

from __future__ import annotations

from .._model import Ask, Fault, Named, Run, host, listens
from .._stacks import NGINX, gunicorn, peer, site
from ._tcp import IMPATIENT, NODE, REFUSED, site_edit, unit_edit

WITH_NAME = "        proxy_ssl_server_name on;\n        proxy_ssl_name shop.example;\n        proxy_connect_timeout 2s;"
TO_TLS = site("proxy_pass https://127.0.0.1:8443", extra=WITH_NAME)


OTHER_AUTHORITY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/o.key -out /etc/nginx/other.crt"
    " -subj /CN=other 2>/dev/null; "
)

FAULTS = (
    Fault(
        "https_to_plain",
        "nginx speaks TLS to an app that does not, and that says so",
        {"web": NODE},
        (Run(site_edit("s|http://127|https://127|")),),
        REFUSED,
        (Named("https_to_plain_backend"),),
        never=("app_not_running", "tls_sni_missing_or_alert"),
    ),
    Fault(
        "https_to_gunicorn",
        "nginx speaks TLS to an app that does not, and that waits for the end of a line",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:8000", extra=IMPATIENT), gunicorn())},
        (Run(site_edit("s|http://127|https://127|")),),
        (Ask((504,), times=1),),
        (Named("https_to_plain_backend"),),
        never=("app_not_running", "app_slow", "firewall_drop"),
    ),
    Fault(
        "plain_to_https",
        "nginx speaks HTTP to an app that wants TLS",
        {"web": host(NGINX, TO_TLS, peer("tls", 8443))},
        (Run(site_edit("s|https://127|http://127|")),),
        REFUSED,
        (Named("not_http_upstream"),),
        never=("app_not_running", "https_to_plain_backend"),
    ),
    Fault(
        "sni_missing",
        "the app wants a server name, and nginx sends none",
        {"web": host(NGINX, TO_TLS, peer("sni", 8443))},
        (Run(site_edit("/proxy_ssl_server_name/d")),),
        REFUSED,
        (Named("tls_sni_missing_or_alert"),),
        never=("https_to_plain_backend",),
    ),
    Fault(
        "tls_version",
        "nginx offers no version of TLS that the app takes",
        {"web": host(NGINX, TO_TLS, peer("tls13", 8443))},
        (Run(site_edit("s|proxy_ssl_server_name on;|proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2;|")),),
        REFUSED,
        (Named("tls_sni_missing_or_alert"),),
        never=("https_to_plain_backend",),
    ),
    Fault(
        "tls_untrusted",
        "nginx verifies the app's certificate against another authority",
        {"web": host(NGINX, TO_TLS, peer("tls", 8443))},
        (
            Run(
                OTHER_AUTHORITY
                + site_edit(
                    "s|proxy_ssl_server_name on;|proxy_ssl_server_name on; proxy_ssl_verify on;"
                    " proxy_ssl_trusted_certificate /etc/nginx/other.crt;|"
                )
            ),
        ),
        REFUSED,
        (Named("tls_verify_failed"),),
        never=("tls_sni_missing_or_alert",),
    ),
    Fault(
        "tls_silent",
        "the app takes the connection and never answers the handshake",
        {"web": host(NGINX, TO_TLS, peer("tls", 8443))},
        (Run(unit_edit("s/ tls 8443/ tls_silent 8443/") + "; " + listens(8443)),),
        (Ask((504,), times=1),),
        (Named("tls_timeout"),),
        never=("app_slow", "firewall_drop"),
    ),
)
