# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel asked over netlink, without any command: addresses, routes, neighbours, queues of listening sockets."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_RTM_GETADDR, _SOCK_DIAG_BY_FAMILY = 22, 20
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTM_GETROUTE, _RTM_GETNEIGH = 26, 30
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _NDA_DST = 1, 4, 5, 1
_NEIGHBOUR_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_NETLINK_NETFILTER, _NFT_GETTABLE, _NFTA_TABLE_NAME = 12, 0x0A01, 1
_NFT_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_LISTEN = 1 << 10  # TCP_LISTEN as a bit of the wanted states
_UDIAG_SHOW_VFS, _UNIX_DIAG_VFS = 0x02, 1
_UDIAG_SHOW_RQLEN, _UNIX_DIAG_RQLEN = 0x10, 4


class Queue(NamedTuple):
    """Of a listening socket: connections that wait now, and how many may."""

    queued: int
    backlog: int
    file: int | None = None  # inode of the file that a unix socket made, lower 32 bits


def _align(length: int) -> int:
    return (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each message in what the kernel sent."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += _align(max(length, _HEADER.size))


def attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += _align(length)
    return found


def _dump(protocol: int, kind: int, payload: bytes) -> Iterator[bytes]:
    """Payloads of one dump request; raises OSError when the kernel refuses it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as channel:
        channel.settimeout(2)  # the kernel answers at once or never
        channel.send(_HEADER.pack(_HEADER.size + len(payload), kind, _REQUEST_DUMP, 1, 0) + payload)
        while True:
            for answer, body in messages(channel.recv(1 << 16)):
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                yield body


def parse_address(body: bytes) -> str:
    """The address of an RTM_NEWADDR: on point-to-point links IFA_ADDRESS is the other end."""
    found = attributes(body[8:])  # struct ifaddrmsg
    return socket.inet_ntop(body[0], found.get(_IFA_LOCAL) or found[_IFA_ADDRESS])


def interface_addresses() -> list[str]:
    """Every address of every interface; raises OSError."""
    return [parse_address(body) for body in _dump(_NETLINK_ROUTE, _RTM_GETADDR, struct.pack("=B7x", socket.AF_UNSPEC))]


def parse_tcp_queue(body: bytes) -> tuple[int, Queue]:
    """(inode, queue) of an inet_diag_msg: for a listener rqueue is what waits and wqueue the limit."""
    _expires, queued, backlog, _uid, inode = struct.unpack_from("=5I", body, 52)
    return inode, Queue(queued=queued, backlog=backlog)


def parse_unix_queue(body: bytes) -> tuple[int, Queue | None]:
    _family, _type, _state, inode = struct.unpack_from("=BBBxI", body)
    found = attributes(body[16:])
    lengths, file = found.get(_UNIX_DIAG_RQLEN), found.get(_UNIX_DIAG_VFS)
    if not lengths:
        return inode, None
    queued, backlog = struct.unpack("=II", lengths)
    return inode, Queue(queued=queued, backlog=backlog, file=struct.unpack("=II", file)[0] if file else None)


def tcp_queues() -> dict[int, Queue]:
    """By inode; raises OSError."""
    queues: dict[int, Queue] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 0, _LISTEN)
        queues.update(parse_tcp_queue(body) for body in _dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request))
    return queues


def unix_queues() -> dict[int, Queue]:
    """By inode; raises OSError."""
    show = _UDIAG_SHOW_RQLEN | _UDIAG_SHOW_VFS
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _LISTEN, 0, show, 0xFFFFFFFF, 0xFFFFFFFF)
    answers = (parse_unix_queue(body) for body in _dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request))
    return {inode: queue for inode, queue in answers if queue}


class RouteTo(NamedTuple):
    interface: int | None
    gateway: str | None


def parse_route(body: bytes) -> RouteTo:
    """Of an RTM_NEWROUTE."""
    found = attributes(body[12:])  # struct rtmsg
    interface, gateway = found.get(_RTA_OIF), found.get(_RTA_GATEWAY)
    return RouteTo(
        interface=struct.unpack("=I", interface)[0] if interface else None,
        gateway=socket.inet_ntop(body[0], gateway) if gateway else None,
    )


def route_to(address: str) -> RouteTo:
    """What the routing table says; raises OSError when it has no way: ENETUNREACH, or what a blackhole route says."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address.partition("%")[0])
    destination = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    request = struct.pack("=BBBBBBBBI", family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + destination
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as channel:
        channel.settimeout(2)
        channel.send(_HEADER.pack(_HEADER.size + len(request), _RTM_GETROUTE, 1, 1, 0) + request)
        for answer, body in messages(channel.recv(1 << 16)):
            if answer == _ERROR:
                number = -struct.unpack_from("=i", body)[0]
                raise OSError(number, os.strerror(number))
            return parse_route(body)
    raise OSError("the kernel gave no answer")


def parse_neighbour(body: bytes) -> tuple[str, str] | None:
    """(address, state) of an RTM_NEWNEIGH."""
    family, _interface, state = struct.unpack_from("=BxxxiH", body)
    address = attributes(body[12:]).get(_NDA_DST)
    if address is None or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return socket.inet_ntop(family, address), _NEIGHBOUR_STATES.get(state, str(state))


def neighbours() -> dict[str, str]:
    """The state of every neighbour, by address; raises OSError."""
    request = struct.pack("=BxxxiHBB", socket.AF_UNSPEC, 0, 0, 0, 0)
    return dict(filter(None, (parse_neighbour(body) for body in _dump(_NETLINK_ROUTE, _RTM_GETNEIGH, request))))


def nft_tables() -> list[tuple[str, str]]:
    """(family, name) of every table of nftables; raises OSError."""
    found = []
    for body in _dump(_NETLINK_NETFILTER, _NFT_GETTABLE, struct.pack("=BBH", 0, 0, 0)):
        name = attributes(body[4:]).get(_NFTA_TABLE_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
        found.append((_NFT_FAMILIES.get(body[0], str(body[0])), name))
    return found
