# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners from recorded /proc/net files and from this process's own sockets."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _sockets
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    read_processes,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import (
    Socket,
    find_owners,
    missing_parent,
    parse_tcp,
    parse_unix,
    read_listeners,
    read_socket_files,
    units_with_private_file,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 180352
   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 182486
   2: 0100007F:1F40 0100007F:B2C4 01 00000000:00000000 00:00000000 00000000   999        0 182999
"""
TCP6 = """\
  sl  local_address                         remote_address                        st ... (cut)
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 181649
   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 181650
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
00000000a7153cf7: 00000003 00000000 00000000 0001 03 180122
000000008f66aeb1: 00000003 00000000 00000000 0001 03 180361 /run/app/app.sock
000000008b6c3b15: 00000002 00000000 00010000 0001 01 181752 /run/blog/blog.sock
000000008b6c3b16: 00000002 00000000 00010000 0001 01 181753 /srv/my app/x.sock
000000004cfda2df: 00000003 00000000 00010000 0001 01 182361 @76b2169c/bus
"""


def test_only_listening_tcp_sockets_count() -> None:
    assert list(parse_tcp(TCP)) == [
        Socket(transport="tcp", address="0.0.0.0", port=80, inode=180352),
        Socket(transport="tcp", address="127.0.0.1", port=8000, inode=182486),
    ]


def test_ipv6_addresses_are_words_in_the_machines_order() -> None:
    assert [(found.address, found.port) for found in parse_tcp(TCP6)] == [("::", 3000), ("::1", 8080)]


def test_only_accepting_unix_sockets_count_and_paths_keep_their_blanks() -> None:
    assert [(found.address, found.inode) for found in parse_unix(UNIX)] == [
        ("/run/blog/blog.sock", 181752),
        ("/srv/my app/x.sock", 181753),
        ("@76b2169c/bus", 182361),
    ]


def test_own_listeners_are_found_with_pid_queue_and_file(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.create_server(("127.0.0.1", 0), backlog=9) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen(4)
        path.chmod(0o640)
        notes = Notes()
        listeners = read_listeners(table=read_processes(notes=notes), notes=notes)
        by_inode = {listener["inode"]: listener for listener in listeners}
        seen_tcp = by_inode[os.fstat(tcp.fileno()).st_ino]
        seen_unix = by_inode[os.fstat(unix.fileno()).st_ino]
        port = tcp.getsockname()[1]
    assert (seen_tcp["address"], seen_tcp["port"], seen_tcp["backlog"], seen_tcp["pid"]) == (
        "127.0.0.1",
        port,
        9,
        os.getpid(),
    )
    assert (seen_unix["address"], seen_unix["backlog"], seen_unix["pid"]) == (str(path), 4, os.getpid())
    assert (seen_unix["file_exists"], seen_unix["file_mode"]) == (True, "0640")


def test_a_listener_whose_file_was_deleted_says_so(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        path.unlink()
        listeners = read_listeners(table=read_processes(notes=Notes()), notes=Notes())
    found = [listener for listener in listeners if listener["address"] == str(path)]
    assert [listener["file_exists"] for listener in found] == [False]


def test_the_master_owns_a_socket_and_pid_1_only_what_nobody_else_holds(tmp_path: Path) -> None:
    held = {1: (55, 56), 9: (), 10: (55,), 20: (55,)}
    for pid, inodes in held.items():
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        for inode in inodes:
            (tmp_path / str(pid) / "fd" / str(inode)).symlink_to(f"socket:[{inode}]")
    processes = {
        pid: Process(pid=pid, parent=0, name="", argv=(), exe="", uid=0, gid=0, started=0.0, unit=None) for pid in held
    }
    table = ProcessTable(processes=processes, proc=tmp_path)
    assert find_owners({55, 56, 57}, table=table, notes=Notes()) == {55: 10, 56: 1}


def test_no_more_users_eyes_are_borrowed_than_it_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    borrowed: list[tuple[int, set[int]]] = []

    def as_user(uid: int, _gid: int, look: functools.partial[Any]) -> Any:
        borrowed.append((uid, set(look.keywords["inodes"])))
        return look()

    monkeypatch.setattr(_sockets, "as_user", as_user)
    for pid, inode in ((7, 55), (8, 56), (9, 57)):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "3").symlink_to(f"socket:[{inode}]")
    processes = {
        pid: Process(pid=pid, parent=0, name="", argv=(), exe="", uid=pid, gid=pid, started=0.0, unit=None)
        for pid in (7, 8, 9)
    }
    table = ProcessTable(processes=processes, proc=tmp_path)

    assert _sockets._held_by_others([7, 8, 9], inodes={55, 56}, table=table) == [(55, 7), (56, 8)]
    assert borrowed == [(7, {55, 56}), (8, {56})]


@pytest.mark.parametrize(("path", "missing"), [("a/b/c.sock", "a"), ("x.sock", None)])
def test_the_topmost_missing_directory_is_named(tmp_path: Path, path: str, missing: str | None) -> None:
    assert missing_parent(tmp_path / path) == (str(tmp_path / missing) if missing else None)


def test_socket_files_of_routes(tmp_path: Path) -> None:
    stale, plain, gone = tmp_path / "stale.sock", tmp_path / "plain", tmp_path / "no" / "x.sock"
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(stale))
    plain.write_text("")
    table = ProcessTable(processes={})
    found = read_socket_files(
        [str(stale), str(plain), str(gone)],
        listeners=[],
        table=table,
        denied={str(stale): str(tmp_path)},
        notes=Notes(),
    )
    files = {one["path"]: one for one in found}
    assert [(one["exists"], one["is_socket"], one["listening"]) for one in files.values()] == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
    ]
    assert files[str(gone)]["missing_parent"] == str(tmp_path / "no")
    assert files[str(stale)]["missing_parent"] is None
    assert [one["denied_at"] for one in files.values()] == [None, None, str(tmp_path)]


def test_one_path_has_many_spellings(tmp_path: Path) -> None:
    path, link = tmp_path / "shared" / "x.sock", tmp_path / "current"
    path.parent.mkdir()
    link.symlink_to(path.parent)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        table = read_processes(notes=Notes())
        listeners = read_listeners(table=table, notes=Notes())
        found = read_socket_files([f"//{path}", str(link / "x.sock")], listeners=listeners, table=table, notes=Notes())
    assert [one["listening"] for one in found] == [True, True]


@pytest.mark.parametrize(
    ("directory", "path", "units"),
    [
        ("tmp/systemd-private-" + "0" * 32 + "-my-app@1.service-AbCd12", "/tmp/app.sock", ["my-app@1.service"]),
        ("var/tmp/systemd-private-" + "0" * 32 + "-b.service-AbCd12", "/var/tmp/app.sock", ["b.service"]),
        ("tmp/systemd-private-" + "0" * 32 + "-b.service-AbCd12", "/run/app.sock", []),
        ("tmp/other", "/tmp/app.sock", []),
    ],
)
def test_a_file_in_the_private_tmp_of_a_unit(tmp_path: Path, directory: str, path: str, units: list[str]) -> None:
    (tmp_path / directory / "tmp").mkdir(parents=True)
    (tmp_path / directory / "tmp" / "app.sock").touch()
    assert units_with_private_file(Path(path), root=tmp_path) == units


@pytest.mark.parametrize("again", [True, False])
def test_a_socket_whose_path_another_one_took_says_so(tmp_path: Path, again: bool) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(path))
        first.listen()
        if again:
            path.rename(tmp_path / "old.sock")
            second.bind(str(path))
            second.listen()
        listeners = read_listeners(table=read_processes(notes=Notes()), notes=Notes())
        own = [one for one in listeners if one["inode"] == os.fstat(first.fileno()).st_ino]
    assert [one["file_is_this_socket"] for one in own] == [not again]
