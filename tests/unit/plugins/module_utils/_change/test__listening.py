# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _listening
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has 107 bytes at most


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_listener_on_tcp_counts_and_a_closed_port_does_not(tcp: socket.socket) -> None:
    port = tcp.getsockname()[1]
    assert _listening.listens(f"tcp:127.0.0.1:{port}")
    tcp.close()
    assert not _listening.listens(f"tcp:127.0.0.1:{port}")


def test_all_addresses_means_this_host() -> None:
    with socket.create_server(("", 0)) as server:
        assert _listening.listens(f"tcp:0.0.0.0:{server.getsockname()[1]}")


def test_a_deleted_socket_file_does_not_count_though_its_listener_lives(directory: Path) -> None:
    path = directory / "app.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert _listening.listens(f"unix:{path}")
        path.unlink()
        assert not _listening.listens(f"unix:{path}")


def test_a_file_left_by_a_dead_process_does_not_count(directory: Path) -> None:
    path = directory / "app.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
    assert path.exists()
    assert not _listening.listens(f"unix:{path}")


def test_a_full_queue_is_no_reason_to_restart(directory: Path) -> None:
    path = directory / "app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as waiting:
        server.bind(str(path))
        server.listen(0)
        waiting.connect(str(path))
        assert _listening.listens(f"unix:{path}")


@pytest.mark.parametrize("endpoint", ["tcp:127.0.0.1", "tcp:", "unix:", "127.0.0.1:99999", "nonsense"])
def test_what_is_no_endpoint_is_named(endpoint: str) -> None:
    with pytest.raises(SystemdError, match="write it as tcp:HOST:PORT or unix:/PATH"):
        _listening.listens(endpoint)
