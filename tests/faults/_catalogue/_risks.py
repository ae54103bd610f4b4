# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What works and is known to break some day: named as a risk, and as nothing worse."""

from __future__ import annotations

from .._model import Ask, Fault, Host, Named, Part, Run, host
from .._stacks import NGINX, gunicorn, site

WORKS = (Ask((200,)),)
TWO = "upstream shop {\n    server 127.0.0.1:8000;\n    server 127.0.0.1:8001;\n}"

#: nginx waits for the app where something else starts it.
AFTER = Part(files={"/etc/systemd/system/nginx.service.d/after.conf": "[Unit]\nAfter=shop.service\n"})


def ordered(*names: str) -> Part:
    """nginx started after these, which is what the first of these faults lacks."""
    units = " ".join(f"{name}.service" for name in names)
    text = f"[Unit]\nAfter={units}\nWants={units}\n"
    return Part(files={"/etc/systemd/system/nginx.service.d/after.conf": text})


def risky(*parts: Part, target: str = "http://127.0.0.1:8000", **lines: str) -> dict[str, Host]:
    return {"web": host(NGINX, ordered("shop", "shop2"), site(f"proxy_pass {target}", **lines), *parts)}


def fault(
    name: str, about: str, hosts: dict[str, Host], *broken: Run, cause: str = "", route: str = "shop.example"
) -> Fault:
    first = (Named(cause or name, severity="risk", name=route),)
    return Fault(name, about, hosts, broken, WORKS, first, never=("app_not_running", "wrong_upstream_address"))


FAULTS = (
    fault(
        "nginx_not_ordered",
        "after a reboot nginx may come before the app",
        {"web": host(NGINX, site("proxy_pass http://127.0.0.1:8000"), gunicorn())},
    ),
    fault(
        "app_not_supervised",
        "nothing restarts the app when it ends",
        risky(gunicorn(settings="Restart=no\n")),
    ),
    fault(
        "app_not_enabled",
        "nothing starts the app after a reboot",
        {"web": host(NGINX, AFTER, site("proxy_pass http://127.0.0.1:8000"), gunicorn())},
        Run("systemctl disable shop.service"),
    ),
    fault(
        "localhost_target",
        "the target is written as localhost",
        risky(gunicorn("[::]:8000"), target="http://localhost:8000"),
        Run("grep -q '^::1.*localhost' /etc/hosts || echo '::1 localhost' >>/etc/hosts; systemctl reload nginx"),
    ),
    fault(
        "max_fails_trap",
        "two servers, each given up after one failure",
        risky(gunicorn(), gunicorn("127.0.0.1:8001", name="shop2"), target="http://shop", http=TWO),
    ),
    fault(
        "read_timeout_below_app",
        "gunicorn allows a request more time than nginx waits",
        risky(gunicorn(arguments="--workers 2 --timeout 90")),
    ),
    fault("workers_unfit", "nobody chose a number of workers", risky(gunicorn(arguments=""))),
    fault(
        "backlog_capped",
        "gunicorn asks for a longer queue than the kernel gives",
        risky(gunicorn(arguments="--workers 2 --backlog 100000")),
    ),
    fault(
        "error_log_hides",
        "the error log is written from crit on",
        risky(gunicorn(), http="error_log /var/log/nginx/error.log crit;"),
    ),
    fault(
        "logs_not_rotated",
        "a log that no file of logrotate's covers",
        risky(gunicorn(), Part(files={"/srv/logs/keep": ""}), server="    error_log /srv/logs/error.log;"),
        Run("yes 'a line of a log' | head -c 3000000 >>/srv/logs/error.log"),
        route="",
    ),
)
