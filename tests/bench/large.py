# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to look at a hoster's nginx and to change it, in one run: ratios to its own `nginx -t`.

Everything happens in namespaces of its own: no other process, port or nginx of this machine is met, and the records of
changes are kept apart. `nginx -t` and the modules run in turn, so that a slow moment meets them all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "tests")  # in place of this directory, where bench.py hides the package of that name

from bench.vhosts import write_vhosts  # noqa: E402

INSIDE = "--inside"
LISTEN, LISTEN_TLS, FIRST_PORT, LIVE = 8080, 8443, 20000, 5
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Run:
    """What one run of a module cost."""

    wall: float  # seconds
    peak: int  # bytes
    tests: list[float]  # seconds of every `nginx -t` that it ran
    answer: dict[str, Any]

    @property
    def own(self) -> float:
        """Seconds beyond its `nginx -t` runs."""
        return self.wall - sum(self.tests)


def module(name: str, arguments: dict[str, Any]) -> Run:
    """Run a module in a process of its own; a failure of it ends the bench."""
    with tempfile.TemporaryDirectory() as directory:
        counts, output = Path(directory, "counts"), Path(directory, "output")
        runner = Path(__file__).with_name("_module.py")
        command = [sys.executable, str(runner), name, json.dumps(arguments), str(counts)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".work")}
        begin = time.monotonic()
        with output.open("wb") as sink, subprocess.Popen(command, env=environment, stdout=sink) as process:
            status, usage = os.wait4(process.pid, 0)[1:]
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        answer = json.loads(output.read_text(encoding="utf-8"))
        if process.returncode:
            sys.exit(f"{name} failed: {answer['msg']}")
        return Run(wall=wall, peak=usage.ru_maxrss * 1024, tests=json.loads(counts.read_text()), answer=answer)


@dataclass(frozen=True)
class Nginx:
    """The nginx that is measured, alone in its namespaces."""

    prefix: Path

    def test(self) -> float:
        """Seconds of one `nginx -t`."""
        begin = time.monotonic()
        subprocess.run(self._command("-t"), check=True, capture_output=True)
        return time.monotonic() - begin

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        subprocess.run(self._command(), check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(self._command("-s", "stop"), check=True, capture_output=True)
            while Path(self.prefix, "nginx.pid").exists():
                time.sleep(0.05)

    def reload(self) -> None:
        subprocess.run(self._command("-s", "reload"), check=True, capture_output=True)

    def _command(self, *words: str) -> list[str]:
        return ["nginx", "-p", f"{self.prefix}/", "-c", "nginx.conf", *words]


class _App(BaseHTTPRequestHandler):
    """Answers everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"alive\n" if self.command == "GET" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a probe does not wait for the end
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Counts who connects."""

    request_queue_size = 128
    connections = 0

    def get_request(self) -> Any:
        request = super().get_request()
        self.connections += 1
        return request


@contextlib.contextmanager
def live_apps(ports: range) -> Iterator[list[_Server]]:
    """App servers behind the first few sites."""
    servers = [_Server(("127.0.0.1", port), _App) for port in ports]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield servers
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def observe_and_test(nginx: Nginx, *, rounds: int, apps: str) -> None:
    """Print what a look at it costs."""
    tests, runs = [], []
    for turn in range(rounds + 1):
        test, run = nginx.test(), module("observe", {})
        if turn:  # the first one fills the caches
            tests.append(test)
            runs.append(run)
    observations = [json.loads(run.answer["observation"]) for run in runs]
    observation = observations[-1]
    probes = observation["probes"]
    asked = {(one["endpoint"], one["protocol"], one["address"]) for one in probes}
    endpoints = {(one["key"], one["protocol"]) for one in observation["endpoints"]}
    size = len(json.dumps(observation).encode())
    wall, test = statistics.median(run.wall for run in runs), statistics.median(tests)
    print(f"observe, {apps}")
    if all(one["test"]["ran"] for seen in observations for one in seen["nginx"]):
        _row("wall / nginx -t", wall / test, at_most=5)
    else:
        print("  no ratio: this machine is so busy that nginx -t took too long for the module to wait for it")
    _row("peak MiB", max(run.peak for run in runs) / MEBIBYTE, at_most=150)
    _row("observation MiB", size / MEBIBYTE, at_most=2)
    _row("probes / distinct addresses", len(probes) / len(asked), at_most=1)
    print(f"  {len(probes)} probes of {len(endpoints)} endpoints; missed: {observation['missed'] or 'nothing'}")


def change_and_test(nginx: Nginx, *, rounds: int) -> None:
    """Print what one edit costs."""
    tests, runs = [], []
    for turn in range(rounds + 1):
        read = {"server_name": "site0.example.com", "location": "/", "timeouts": {"read": f"{61 + turn}s"}}
        test, run = nginx.test(), module("nginx_routes", {"routes": [read]})
        if turn:
            tests.append(test)
            runs.append(run)
    own, test = statistics.median(run.own for run in runs), statistics.median(tests)
    print(f"nginx_routes, one edit, {len(runs[-1].tests)} nginx -t")
    _row("wall without nginx -t / nginx -t", own / test, at_most=3)
    _row("peak MiB", max(run.peak for run in runs) / MEBIBYTE, at_most=150)


def requests_lost(nginx: Nginx, *, times: int) -> None:
    """Print how many requests of a healthy site fail while a sick one is mended and taken back again and again.

    On a connection that stays open a request can cross nginx's closing it, at any reload: what that costs is measured
    beside as many reloads without a change.
    """
    sick = {"server_name": f"site{LIVE}.example.com", "location": "/"}
    good = {**sick, "pass_to": f"127.0.0.1:{FIRST_PORT}"}

    def mend_and_take_back() -> None:
        for turn in range(times):
            module("nginx_routes", {"routes": [good], "run_id": f"run{turn}"})
            module("rollback", {"run_id": f"run{turn}"})

    def reload_only() -> None:
        for _turn in range(2 * times):
            nginx.reload()
            time.sleep(1)

    print(f"requests of a healthy site while a sick one is mended and taken back {times} times")
    requests, failed = asked_during(mend_and_take_back, "-H", "Connection: close")
    print(f"  {requests} requests, a connection each")
    _row("failed", failed, at_most=0)
    for what, work in (("that", mend_and_take_back), ("bare reloads", reload_only)):
        requests, failed = asked_during(work)
        print(f"  on kept connections, {what}: {requests} requests, {failed} cut off by {2 * times} reloads")


def asked_during(work: Callable[[], None], *options: str) -> tuple[int, int]:
    """(requests, failed ones) of wrk while that is done."""
    options = ("-t1", "-c4", "-d1h", "--timeout", "20s", "-H", "Host: site0.example.com", *options)
    with subprocess.Popen(["wrk", *options, f"http://127.0.0.1:{LISTEN}/"], stdout=subprocess.PIPE, text=True) as wrk:
        work()
        wrk.send_signal(signal.SIGINT)  # it then says what it has seen so far
        return counted(wrk.communicate()[0])


def counted(said: str) -> tuple[int, int]:
    """(requests, failed ones) of what wrk prints."""
    requests = re.search(r"(\d+) requests in", said)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    if requests is None:
        sys.exit(f"wrk says nothing of requests: {said}")
    return int(requests[1]), sum(int(number) for found in (bad, errors) if found for number in found.groups())


def _row(what: str, value: float, *, at_most: float) -> None:
    print(f"  {what:34}{value:8.2f}  at most {at_most:g}  {'ok' if value <= at_most else 'TOO MUCH'}", flush=True)


def measure(*, vhosts: int, rounds: int, times: int) -> None:
    """All of it, inside the namespaces."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="bad_gateway_bench_") as directory:
        Path(directory).chmod(0o755)
        records = Path(directory, "records")
        records.mkdir()
        subprocess.run(["mount", "--bind", str(records), "/var/lib"], check=True)
        for name, tls in (("TLS, a certificate for each", LISTEN_TLS), ("no TLS", None)):
            prefix = Path(directory, f"nginx{tls or ''}")
            write_vhosts(prefix, vhosts, listen=LISTEN, first_port=FIRST_PORT, tls=tls)
            nginx = Nginx(prefix)
            print(f"\n==> {vhosts} vhosts with {vhosts} upstreams, {name}; medians of {rounds} runs", flush=True)
            with nginx.running():
                look_and_change(nginx, rounds=rounds)
        with nginx.running(), live_apps(range(FIRST_PORT, FIRST_PORT + LIVE)):
            requests_lost(nginx, times=times)


def look_and_change(nginx: Nginx, *, rounds: int) -> None:
    """What one look and one edit cost, without and with app servers."""
    observe_and_test(nginx, rounds=rounds, apps="no app answers")
    with live_apps(range(FIRST_PORT, FIRST_PORT + LIVE)) as servers:
        observe_and_test(nginx, rounds=rounds, apps=f"{LIVE} apps answer")
        _row("connections to an app in a run", max(one.connections for one in servers) / (rounds + 1), at_most=1)
        change_and_test(nginx, rounds=rounds)


def main() -> None:
    """Enter the namespaces, and measure there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vhosts", type=int, default=1000, help="number of vhosts (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of everything (default 5)")
    parser.add_argument("--times", type=int, default=20, help="changes taken back under load (default 20)")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    missing = [name for name in ("nginx", "wrk", "openssl", "ip", "unshare") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        sys.exit(" and ".join(["this needs root", *missing]))
    if not arguments.inside:
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        os.execvp(unshare[0], [*unshare, sys.executable, __file__, INSIDE, *sys.argv[1:]])
    measure(vhosts=arguments.vhosts, rounds=arguments.rounds, times=arguments.times)


if __name__ == "__main__":
    main()
