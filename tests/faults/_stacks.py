# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The healthy shapes that faults start from: sites of nginx, units, app servers."""

from __future__ import annotations

from pathlib import Path

from ._model import Part

SITES = "/etc/nginx/sites-enabled"
APPS = Path(__file__).with_name("apps")

NGINX = Part(roles=("nginx",))
CURRENT_NGINX = Part(roles=("nginx_current",))

#: An access log that tells a retried error from a served one, which Debian's own format does not.
UPSTREAM_LOG = Part(
    files={
        "/etc/nginx/conf.d/upstream_log.conf": (
            "log_format upstreams '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '\n"
            '    \'"$http_referer" "$http_user_agent" $server_name $request_time \'\n'
            "    '$upstream_addr $upstream_status $upstream_response_time $upstream_header_time';\n"
            "access_log /var/log/nginx/upstreams.log upstreams;\n"
        )
    }
)


def site(
    directive: str,
    *,
    name: str = "shop.example",
    listen: str = "80",
    extra: str = "",
    server: str = "",
    http: str = "",
) -> Part:
    """A server with one location. `directive` is its `*_pass`; the others are lines of the level that names them."""
    lines = [
        http,
        "server {",
        f"    listen {listen};",
        f"    server_name {name};",
        server,
        "    location / {",
        f"        {directive};",
        extra,
        "        proxy_set_header Host $host;",
        "        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "    }",
        "}",
    ]
    return Part(files={f"{SITES}/{name}.conf": "\n".join(filter(None, lines)) + "\n"})


def service(
    name: str,
    command: str,
    *,
    kind: str = "simple",
    settings: str = "",
    unit: str = "",
    user: str = "app",
    restart: str = "always",
    enabled: bool = True,
    ports: tuple[int, ...] = (),
) -> Part:
    """A systemd service. `settings` are further lines of [Service], `unit` of [Unit]."""
    text = (
        f"[Unit]\nDescription={name}\nAfter=network.target\n{unit}\n"
        f"[Service]\nType={kind}\nUser={user}\nGroup=www-data\nWorkingDirectory=/srv/app\nExecStart={command}\n"
        f"Restart={restart}\nRestartSec=2\n{settings}\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    return Part(
        files={f"/etc/systemd/system/{name}.service": text},
        enabled=(f"{name}.service",) if enabled else (),
        ports=ports,
    )


def program(name: str, *, path: str = "") -> Part:
    """One of the apps beside this file, in /srv/app."""
    return Part(files={path or f"/srv/app/{name}": (APPS / name).read_text(encoding="utf-8")})


def gunicorn(
    bind: str = "127.0.0.1:8000", *, name: str = "shop", arguments: str = "--workers 2", settings: str = ""
) -> Part:
    """The shop's app behind gunicorn, documented unit: notify, supervised, reloadable."""
    own = f"RuntimeDirectory={name}\n" if bind.startswith("unix:/run/") else ""
    return _with_program(
        "shop_app.py",
        service(
            name,
            f"/usr/bin/gunicorn --bind {bind} {arguments} shop_app:application",
            kind="notify",
            settings=f"ExecReload=/bin/kill -HUP $MAINPID\n{own}{settings}",
        ),
    )


def uwsgi(socket: str = "socket 127.0.0.1:3031", *, arguments: str = "--processes 2", settings: str = "") -> Part:
    """The shop's app behind uWSGI."""
    return _with_program(
        "shop_app.py",
        service(
            "shop",
            f"/usr/bin/uwsgi --plugin python3 --master --{socket} {arguments} --wsgi-file shop_app.py",
            kind="notify",
            settings=f"NotifyAccess=all\nKillSignal=SIGQUIT\n{settings}",
        ),
    )


def uvicorn(
    arguments: str = "--host 127.0.0.1 --port 8000", *, settings: str = "", ports: tuple[int, ...] = (8000,)
) -> Part:
    return _with_program(
        "shop_asgi.py",
        service(
            "shop", f"/usr/bin/python3 -m uvicorn {arguments} shop_asgi:application", settings=settings, ports=ports
        ),
    )


def node(*, name: str = "shop.js") -> Part:
    return _with_program(name, service("shop", f"/usr/bin/node {name}", ports=(3000,)))


def puma(bind: str = "tcp://127.0.0.1:9292") -> Part:
    return _with_program(
        "shop.ru", service("shop", f"/usr/bin/puma --bind {bind} --environment production shop.ru", ports=(9292,))
    )


def peer(mode: str, port: int = 9000, *, name: str = "shop") -> Part:
    """An upstream that misbehaves in one way (see apps/peer.py)."""
    return _with_program("peer.py", service(name, f"/usr/bin/python3 peer.py {mode} {port}", ports=(port,)))


def php_fpm(*, version: str = "8.2", pool: str = "") -> Part:
    """PHP-FPM as Debian ships it, with one script. `pool` are further lines of the pool."""
    files = {"/srv/app/index.php": (APPS / "index.php").read_text(encoding="utf-8")}
    if pool:
        files[f"/etc/php/{version}/fpm/pool.d/zz-shop.conf"] = f"[www]\n{pool}\n"
    return Part(files=files, enabled=(f"php{version}-fpm.service",))


def php_site(target: str = "unix:/run/php/php8.2-fpm.sock", *, extra: str = "") -> Part:
    lines = f"        include fastcgi_params;\n        fastcgi_param SCRIPT_FILENAME /srv/app/index.php;\n{extra}"
    return site(f"fastcgi_pass {target}", extra=lines)


def uwsgi_site(target: str = "127.0.0.1:3031", *, extra: str = "") -> Part:
    return site(f"uwsgi_pass {target}", extra=f"        include uwsgi_params;\n{extra}")


def _with_program(name: str, part: Part) -> Part:
    return Part(files={**program(name).files, **part.files}, enabled=part.enabled, ports=part.ports)
