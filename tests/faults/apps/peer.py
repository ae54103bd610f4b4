# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An upstream that misbehaves in one way: `peer.py MODE PORT`.

answers redis ssh silent closes early space no_colon double mixed cut denies tls tls13 tls_silent sni
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
#: What is said once a request was read.
SAID = {
    "redis": b"-ERR unknown command 'GET'\r\n",
    "space": ANSWER + b"X Bad Name: 1\r\n\r\nok",
    "no_colon": ANSWER + b"X-No-Colon\r\n\r\nok",
    "double": ANSWER + b"Content-Length: 2\r\n\r\nok",
    "mixed": ANSWER + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "closes": b"",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nshort",
    "denies": b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


class Handler(socketserver.BaseRequestHandler):
    """One connection."""

    mode = "answers"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._answer(self.request)

    def _answer(self, connection: socket.socket) -> None:
        if self.mode == "ssh":
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        if self.mode == "silent":
            time.sleep(600)
        request = connection.recv(4096)
        if self.mode == "early" and request.startswith(b"POST"):
            connection.close()  # without having read the body: the kernel resets the connection
            return
        if b"\r\n\r\n" in request or b"\n" in request or self.mode == "redis":
            connection.sendall(SAID.get(self.mode, ANSWER + b"\r\nok"))


class TlsHandler(Handler):
    """The same behind TLS; a handshake that fails ends the connection."""

    context: ssl.SSLContext

    def handle(self) -> None:
        if self.mode == "tls_silent":
            time.sleep(600)
        with contextlib.suppress(OSError), self.context.wrap_socket(self.request, server_side=True) as connection:
            request = connection.recv(65536)
            if request:
                connection.sendall(ANSWER + b"\r\nok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def refuse_without_name(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
    return None if name == "shop.example" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def tls_context(mode: str) -> ssl.SSLContext:
    """A self-signed certificate for shop.example, made at the first start."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ]
    command += ["-keyout", "/tmp/peer.key", "-out", "/tmp/peer.crt", "-subj", "/CN=shop.example"]
    command += ["-addext", "subjectAltName=DNS:shop.example"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/peer.crt", "/tmp/peer.key")
    if mode == "tls13":
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if mode == "sni":
        context.sni_callback = refuse_without_name
    return context


def main() -> None:
    mode, port = sys.argv[1], int(sys.argv[2])
    handler: type[Handler] = Handler
    if mode.startswith(("tls", "sni")):
        handler = TlsHandler
        TlsHandler.context = tls_context(mode)
    handler.mode = mode
    with Server(("0.0.0.0", port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
