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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Probe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import Credentials
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe import (
    Viewpoint,
    Wanted,
    look,
    outcome_of,
    resolve_names,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

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


def tcp(listener: socket.socket, protocol: str = "http") -> Wanted:
    host, port = listener.getsockname()[:2]
    return Wanted(f"tcp:{host}:{port}", "tcp", protocol, host, port, None, "shop.example", (host,), None)


def unix(path: Path) -> Wanted:
    return Wanted(f"unix:{path}", "unix", "http", None, None, str(path), "shop.example", (), None)


def probe(wanted: Wanted, *, viewpoint: Viewpoint = MYSELF, mode: str = "request", seconds: float = 5) -> Probe:
    (found,) = look(viewpoint, [wanted], mode=mode, seconds=seconds, notes=Notes())
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
        found = look(MYSELF, wanted, mode="request", seconds=0.6, notes=Notes())
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_want_of_permission_to_be_the_worker_is_said() -> None:
    notes = Notes()
    with serving(socket.create_server(("127.0.0.1", 0)), answer) as listener:
        root = Viewpoint(instance="nginx", pid=None, credentials=Credentials("root", 0, 0, ()))
        (found,) = look(root, [tcp(listener)], mode="request", seconds=5, notes=notes)
    assert (found["outcome"], found["as_nginx"]) == ("answered", False)
    assert [entry["what"] for entry in notes.entries] == ["probes as nginx's user root"]


def test_names_are_resolved_or_said_to_be_unknown() -> None:
    names = resolve_names(MYSELF, ["localhost", "no-such-host.invalid"], seconds=5, notes=Notes())
    assert "127.0.0.1" in names["localhost"].addresses or "::1" in names["localhost"].addresses
    assert names["no-such-host.invalid"].addresses == []
    assert names["no-such-host.invalid"].error


def test_an_unresolved_name_is_one_probe_that_says_so() -> None:
    wanted = Wanted("tcp:app:80", "tcp", "http", "app", 80, None, "shop.example", (), "Name or service not known")
    found = probe(wanted)
    assert (found["outcome"], found["phase"], found["detail"], found["address"]) == (
        "unresolved",
        "resolve",
        "Name or service not known",
        "",
    )


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
