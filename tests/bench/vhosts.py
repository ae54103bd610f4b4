# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a configuration as large as a hoster's: any number of vhosts, each in its own file with an upstream.

It stands alone under its prefix and needs no root: `nginx -t -p PREFIX -c nginx.conf` accepts it.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

_MAIN = """\
worker_processes 1;
pid nginx.pid;
error_log error.log;

events {
    worker_connections 1024;
}

http {
    access_log off;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;

    include conf.d/*.conf;
}
"""

_VHOST = """\
upstream app_{number} {{
    server 127.0.0.1:{port};
}}

server {{
    listen 127.0.0.1:{listen};{tls}
    server_name site{number}.example.com;

    location / {{
        proxy_pass http://app_{number};
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
    }}

    location /static/ {{
        root /srv/site{number};
    }}
}}
"""


_TLS = """
    listen 127.0.0.1:{port} ssl;
    ssl_certificate site.crt;
    ssl_certificate_key site.key;"""


def write_vhosts(
    prefix: Path, count: int, *, listen: int = 8080, first_port: int = 20000, ports: int = 10000, tls: int | None = None
) -> Path:
    """Write `count` vhosts under `prefix`, all on one listener, and return the main file.

    The app servers' ports begin at `first_port` and start again there after `ports` of them. `tls` is the port of a
    second listener with TLS; every vhost reads its certificate then, as they do where each has its own.
    """
    directory = prefix / "conf.d"
    directory.mkdir(parents=True, exist_ok=True)
    (prefix / "tmp").mkdir(exist_ok=True)
    main = prefix / "nginx.conf"
    main.write_text(_MAIN, encoding="utf-8")
    if tls is not None:
        _write_certificate(prefix)
    more = "" if tls is None else _TLS.format(port=tls)
    for number in range(count):
        text = _VHOST.format(number=number, port=first_port + number % ports, listen=listen, tls=more)
        (directory / f"site{number:05}.conf").write_text(text, encoding="utf-8")
    return main


def _write_certificate(prefix: Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "site.key"]
    command = ["openssl", "req", "-x509", *key, "-out", "site.crt", "-days", "30", "-subj", "/CN=example.com"]
    subprocess.run(command, cwd=prefix, check=True, capture_output=True)


def main() -> None:
    """Write them where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix", type=Path, help="directory to write to; it is made when it is not there")
    parser.add_argument("--count", type=int, default=1000, help="number of vhosts (default 1000)")
    parser.add_argument("--listen", type=int, default=8080, help="port of the listener (default 8080)")
    parser.add_argument("--tls", type=int, help="port of a listener with TLS (default none)")
    arguments = parser.parse_args()
    print(write_vhosts(arguments.prefix, arguments.count, listen=arguments.listen, tls=arguments.tls))


if __name__ == "__main__":
    main()
