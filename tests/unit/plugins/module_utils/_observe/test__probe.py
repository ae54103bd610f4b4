# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes of real sockets of this process."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Probe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._connection import outcome_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import Credentials
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import (
    Manner,
    Tls,
    default_manner,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe import View, Wanted, look, resolve_names
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe_child import Viewpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._nobody import as_nobody

# The servers of these tests are threads; the module itself has none when it forks.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

MYSELF = Viewpoint(instance="nginx", pid=None, credentials=None)
NOBODY = Viewpoint(instance="nginx", pid=os.getpid(), credentials=Credentials("nobody", 65534, 65534, (65534,)))


@contextlib.contextmanager
def serving(listener: socket.socket, behave: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """Give the first connection of `listener` to `behave`."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _address = listener.accept()
            with connection:
                behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield listener
    thread.join(5)


SHOP = Manner(host="shop.example")


def tcp(listener: socket.socket, protocol: str = "http") -> Wanted:
    host, port = listener.getsockname()[:2]
    manner = SHOP if protocol == "http" else default_manner(protocol)
    return Wanted(f"tcp:{host}:{port}", "tcp", protocol, port, None, (host,), None, manner)


def unix(path: Path) -> Wanted:
    return Wanted(f"unix:{path}", "unix", "http", None, str(path), (), None, SHOP)


def probe(wanted: Wanted, *, viewpoint: Viewpoint = MYSELF, mode: str = "request", seconds: float = 5) -> Probe:
    (found,) = look([View(viewpoint, [wanted])], mode=mode, seconds=seconds, notes=Notes()).probes
    return found


def answer(connection: socket.socket) -> None:
    request = connection.recv(4096)
    name = b"shop.example" if b"Host: shop.example\r\n" in request else b"?"
    connection.sendall(b"HTTP/1.1 204 ")
    connection.sendall(name + b"\r\n\r\n")


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("behave", "outcome", "phase", "status"),
    [
        pytest.param(answer, "answered", "read", 204, id="answers in two parts"),
        pytest.param(lambda connection: connection.recv(4096), "closed", "read", None, id="closes"),
        pytest.param(reset, "reset", "read", None, id="resets"),
        pytest.param(lambda connection: connection.sendall(b"220 ready\r\n"), "mismatch", "read", None, id="mail"),
    ],
)
def test_what_a_server_does(
    behave: Callable[[socket.socket], None], outcome: str, phase: str, status: int | None
) -> None:
    with serving(socket.create_server(("127.0.0.1", 0)), behave) as listener:
        found = probe(tcp(listener))
    assert (found["outcome"], found["phase"], found["status"]) == (outcome, phase, status)


def test_the_host_name_of_the_route_is_sent() -> None:
    with serving(socket.create_server(("127.0.0.1", 0)), answer) as listener:
        assert probe(tcp(listener))["detail"] == "HTTP/1.1 204 shop.example"


def test_tls_to_a_plain_server_is_a_mismatch() -> None:
    with serving(socket.create_server(("127.0.0.1", 0)), answer) as listener:
        found = probe(tcp(listener, "https"))
    assert (found["outcome"], found["phase"]) == ("mismatch", "tls")


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wanted = tcp(listener)
    found = probe(wanted)
    assert (found["outcome"], found["errno"], found["phase"]) == ("refused", 111, "connect")
    assert (found["endpoint"], found["address"]) == (wanted.endpoint, f"127.0.0.1:{wanted.port}")


def test_a_silent_server_costs_only_itself() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    with socket.create_server(("127.0.0.1", 0)) as silent, serving(other, answer):
        wanted = [tcp(silent), tcp(other)]
        found = look([View(MYSELF, wanted)], mode="request", seconds=2, notes=Notes()).probes
    assert [(one["outcome"], one["phase"]) for one in found] == [("timeout", "read"), ("answered", "read")]


def test_no_time_at_all_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert probe(tcp(listener), seconds=0)["outcome"] == "not_probed"


def test_connect_sends_nothing() -> None:
    received = []
    with serving(socket.create_server(("127.0.0.1", 0)), lambda one: received.append(one.recv(10))) as listener:
        assert probe(tcp(listener), mode="connect")["outcome"] == "connected"
    assert received == [b""]


def test_unix_sockets_missing_and_stale(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    assert (probe(unix(path))["outcome"], probe(unix(path))["errno"]) == ("missing", 2)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert (probe(unix(path))["outcome"], probe(unix(path))["errno"]) == ("refused", 111)


def test_a_full_unix_queue(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(path))
        listener.listen(0)
        waiting.connect(str(path))
        found = probe(unix(path))
    assert (found["outcome"], found["errno"]) == ("queue_full", 11)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can probe as another user")
def test_probes_are_made_as_the_workers_user(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        mine, theirs = probe(unix(path), mode="connect"), probe(unix(path), mode="connect", viewpoint=NOBODY)
    assert (mine["outcome"], mine["as_nginx"]) == ("connected", False)
    assert (theirs["outcome"], theirs["errno"], theirs["user"], theirs["as_nginx"]) == ("denied", 13, "nobody", True)


def test_want_of_permission_to_be_the_worker_is_said() -> None:
    def look_as_root() -> list[Any]:
        notes = Notes()
        (found,) = look([View(root, [tcp(listener)])], mode="request", seconds=5, notes=notes).probes
        return [found["outcome"], found["as_nginx"], *(entry["what"] for entry in notes.entries)]

    root = Viewpoint(instance="nginx", pid=None, credentials=Credentials("root", 0, 0, ()))
    with serving(socket.create_server(("127.0.0.1", 0)), answer) as listener:
        assert as_nobody(look_as_root) == ["answered", False, "probes as nginx's user root"]


def test_names_are_resolved_or_said_to_be_unknown() -> None:
    view = View(MYSELF, hosts=["localhost", "no-such-host.invalid"])
    (names,) = resolve_names([view], seconds=5, notes=Notes())
    assert "127.0.0.1" in names["localhost"].addresses or "::1" in names["localhost"].addresses
    assert names["no-such-host.invalid"].addresses == []
    assert names["no-such-host.invalid"].error


def test_an_unresolved_name_is_one_probe_that_says_so() -> None:
    wanted = Wanted("tcp:app:80", "tcp", "http", 80, None, (), "Name or service not known", SHOP)
    found = probe(wanted)
    assert (found["outcome"], found["phase"], found["detail"], found["address"]) == (
        "unresolved",
        "resolve",
        "Name or service not known",
        "",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can probe as another user")
@pytest.mark.parametrize(
    ("directory", "file", "denied"),
    [
        pytest.param(0o755, 0o600, "open/app.sock", id="at the socket"),
        pytest.param(0o700, 0o666, "open", id="at the directory"),
    ],
)
def test_where_the_worker_may_not_pass(tmp_path: Path, directory: int, file: int, denied: str) -> None:
    for parent in (tmp_path, *list(tmp_path.parents)[:-1]):
        parent.chmod(parent.stat().st_mode | 0o011)
    path = tmp_path / "open" / "app.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(file)
        path.parent.chmod(directory)
        looked = look([View(NOBODY, [unix(path)])], mode="request", seconds=5, notes=Notes())
    assert looked.denied == {str(path): str(tmp_path / denied)}
    assert looked.probes[0]["detail"] == (
        f"Permission denied at {tmp_path / denied}; whether anything listens there cannot be seen"
    )


def count(connections: list[bytes], listener: socket.socket) -> None:
    """Keep what each connection says; close at once."""
    with contextlib.suppress(OSError):
        while True:
            connection, _address = listener.accept()
            with connection:
                connections.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def test_no_address_is_asked_twice_whoever_wants_it() -> None:
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=count, args=(said, listener), daemon=True)
        thread.start()
        first, by_name = tcp(listener), tcp(listener)._replace(endpoint="tcp:localhost:1", manner=Manner(host="other"))
        views = [View(MYSELF, [first, by_name]), View(MYSELF._replace(instance="second"), [first])]
        found = look(views, mode="request", seconds=5, notes=Notes()).probes
    assert [(one["endpoint"], one["instance"], one["outcome"]) for one in found] == [
        (first.endpoint, "nginx", "answered"),
        ("tcp:localhost:1", "nginx", "answered"),
        (first.endpoint, "second", "answered"),
    ]
    assert len(said) == 1


def test_a_crowd_that_hangs_leaves_the_last_one_its_turn() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    with socket.create_server(("127.0.0.1", 0), backlog=400) as silent, serving(other, answer):
        silent_ones = [tcp(silent)._replace(manner=Manner(tls=Tls(name=str(number)))) for number in range(200)]
        found = look([View(MYSELF, [*silent_ones, tcp(other)])], mode="request", seconds=3, notes=Notes()).probes
    assert found[-1]["outcome"] == "answered"


# What real servers did with the bytes of a protocol that is not theirs.


def gunicorn(connection: socket.socket) -> None:
    """Wait for the end of a line; answer 400 unless it is HTTP."""
    data = b""
    while b"\n" not in data:
        more = connection.recv(4096)
        if not more:
            return
        data += more
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if data.startswith(b"GET ") else b"HTTP/1.1 400 Bad Request\r\n\r\n")


def node(connection: socket.socket) -> None:
    data = connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if data.startswith(b"GET ") else b"HTTP/1.1 400 Bad Request\r\n\r\n")


def slow_node(connection: socket.socket) -> None:
    time.sleep(1.2)
    node(connection)


def uwsgi(connection: socket.socket) -> None:
    data = connection.recv(4096)
    if data[:1] == b"\x16":
        connection.recv(1)  # reads the rest of what it takes for a long header
    elif data[:1] == b"\0":
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # the app's own


def fpm(connection: socket.socket) -> None:
    data = connection.recv(4096)
    if data[:2] == b"\1\x09":
        connection.sendall(b"\1\x0a\0\0\0\0\0\0")
    elif data[:2] == b"\1\1":
        connection.sendall(b"\1\6\0\1\0\x19\0\0Status: 404 Not Found\r\n\r\n")


def tls(connection: socket.socket) -> None:
    if connection.recv(4096)[:1] == b"\x16":
        connection.sendall(b"\x15\3\1\0\2\2\x28")


@pytest.mark.parametrize(
    ("protocol", "server", "outcome", "speaks"),
    [
        ("http", gunicorn, "answered", None),
        ("http", uwsgi, "mismatch", "uwsgi"),
        ("http", fpm, "mismatch", "fastcgi"),
        ("http", tls, "mismatch", "tls"),
        ("uwsgi", gunicorn, "mismatch", "http"),
        ("uwsgi", node, "mismatch", "http"),
        pytest.param("uwsgi", uwsgi, "answered", None, id="uwsgi-an app that answers 400 itself"),
        ("uwsgi", fpm, "mismatch", "fastcgi"),
        ("fastcgi", gunicorn, "mismatch", "http"),
        ("fastcgi", node, "mismatch", "http"),
        ("fastcgi", uwsgi, "mismatch", "uwsgi"),
        ("fastcgi", fpm, "answered", None),
        ("grpc", node, "mismatch", "http"),
        ("https", node, "mismatch", "http"),
        ("https", gunicorn, "mismatch", "http"),
        ("https", uwsgi, "mismatch", "uwsgi"),
        ("http", lambda connection: connection.recv(4096), "closed", None),
    ],
)
def test_what_is_spoken_there_instead(
    protocol: str, server: Callable[[socket.socket], None], outcome: str, speaks: str | None
) -> None:
    assert _asked(protocol, server, seconds=2.5) == (outcome, speaks)


def test_who_was_slow_to_answer_is_asked_as_patiently_what_it_speaks() -> None:
    assert _asked("uwsgi", slow_node, seconds=5) == ("mismatch", "http")


def _asked(protocol: str, server: Callable[[socket.socket], None], *, seconds: float) -> tuple[str, str | None]:
    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                with connection:
                    server(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        found = probe(tcp(listener, protocol), seconds=seconds)
    return found["outcome"], found["speaks"]


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (113, "unreachable"),
        (101, "unreachable"),
        (22, "unreachable"),
        (110, "timeout"),
        (104, "reset"),
        (1, "denied"),
        (99, "error"),
    ],
)
def test_outcomes_by_errno(number: int, outcome: str) -> None:
    assert outcome_of(OSError(number, "any text")) == outcome
