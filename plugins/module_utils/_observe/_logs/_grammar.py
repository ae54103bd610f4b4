# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a message of nginx's error log is about: one signature for each kind, keyed by errno number and phase.

Numbers, not words: another libc words some errors differently. The groups `name` and `detail` are what a signature
tells beside its own name; a group `peer` is the address that nginx connected to, as the message itself says it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._peer import address_endpoint

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey


_DETAIL_LENGTH = 120  # characters

_CONNECT = r"connect\(\)(?: to (?P<peer>unix:.+?|\S+))? failed \({errno}: .* while connecting to upstream"
_TIMED_OUT = r"upstream timed out \(110: .*?\) while {action}"
_TLS = r"SSL_do_handshake\(\) failed \(SSL: .*?(?P<detail>{words}).* while SSL handshaking to upstream"
_IN_BODY = r"(?:reading upstream|sending to client)"

#: Signatures by the first word of their messages; within a group the first match wins.
_PATTERNS = {
    "connect": (
        ("connect_refused", _CONNECT.format(errno=111)),
        ("connect_enoent", _CONNECT.format(errno=2)),
        ("connect_eacces", _CONNECT.format(errno=13)),
        ("connect_eperm", _CONNECT.format(errno=1)),
        ("connect_eagain_unix", _CONNECT.format(errno=11)),
        ("connect_bad_path", _CONNECT.format(errno="(?:20|40|91)")),
        ("connect_eaddrnotavail", _CONNECT.format(errno=99)),
        ("connect_unreach", _CONNECT.format(errno="(?:22|100|101|112|113)")),
        ("connect_kernel_timeout", _CONNECT.format(errno=110)),
        ("connect_other", _CONNECT.format(errno=r"\d+")),
    ),
    "upstream": (
        ("timeout_connect", _TIMED_OUT.format(action="connecting to upstream")),
        ("timeout_tls", _TIMED_OUT.format(action="SSL handshaking to upstream")),
        ("timeout_send", _TIMED_OUT.format(action="sending request to upstream")),
        ("timeout_header", _TIMED_OUT.format(action="reading response header from upstream")),
        ("timeout_body", _TIMED_OUT.format(action=rf"(?:{_IN_BODY}|proxying upgraded connection)")),
        (
            "closed_before_header",
            r"upstream prematurely closed connection while "
            r"(?:reading response header from|sending request to) upstream",
        ),
        ("closed_in_body", rf"upstream prematurely closed connection while {_IN_BODY}"),
        ("too_big_header", r"upstream sent too big header while reading response header from upstream"),
        ("not_http", r"upstream sent no valid HTTP/1\.0 header while reading response header from upstream"),
        (
            "invalid_header",
            r"upstream sent (?P<detail>invalid header|invalid status|duplicate header line: \"[^\":]*"
            r"|duplicate header line|invalid \"Content-Length\"|\"Content-Length\" and \"Transfer-Encoding\""
            r"|unknown \"Transfer-Encoding\"|HTTP/1\.0 response with early hints)",
        ),
        (
            "not_fastcgi",
            r"upstream sent (?P<detail>unsupported FastCGI protocol version: \d+|invalid FastCGI record type: \d+"
            r"|unsupported FastCGI protocol version|invalid FastCGI record type"
            r"|unexpected FastCGI (?:record|request id)[^,]*?(?= while |$))",
        ),
        ("fastcgi_closed", r"upstream prematurely closed FastCGI (?:stdout|request)"),
        (
            "h2_upstream",
            r"upstream (?P<detail>rejected request with error(?: \d+)?|sent goaway with error(?: \d+)?"
            r"|prematurely closed stream|violated|sent (?:unexpected http2 frame|frame for|rst stream"
            r"|invalid :status|no :status|too large http2|truncated http2))",
        ),
        (
            "invalid_chunked",
            r"upstream sent (?P<detail>invalid chunked response|invalid trailer|too big trailers)",
        ),
        (
            "tls_verify",
            r"upstream SSL certificate (?:verify error: \((?P<detail>\d+:[^)]*)\)|(?P<name>does not match \"[^\"]*\"))",
        ),
        ("peer_disabled", r"upstream server temporarily disabled"),
    ),
    "recv": (
        ("reset_before_header", r"recv\(\) failed \(104: .* while reading response header from upstream"),
        (
            "reset_in_body",
            rf"recv\(\) failed \(104: .* while (?:{_IN_BODY}|proxying upgraded connection"
            r"|proxying and reading from upstream)",
        ),
        ("resolver_io", r"recv\(\) failed \(\d+: .*\) while resolving, resolver: (?P<detail>\S+)"),
    ),
    "readv": (("reset_in_body", rf"readv\(\) failed \(104: .* while {_IN_BODY}"),),
    "send": (
        (
            "reset_on_send",
            r"send\(\) failed \((?:32|104): .* while (?:sending request to|reading response header from) upstream",
        ),
        ("resolver_io", r"send\(\) failed \(\d+: .*\) while resolving, resolver: (?P<detail>\S+)"),
    ),
    "writev": (
        (
            "reset_on_send",
            r"writev\(\) failed \((?:32|104): .* while (?:sending request to|reading response header from) upstream",
        ),
    ),
    "sendfile": (
        (
            "reset_on_send",
            r"sendfile\(\) failed \((?:32|104): .* while (?:sending request to|reading response header from) upstream",
        ),
    ),
    "FastCGI": (("fastcgi_stderr", r"FastCGI sent in stderr: \"?(?P<detail>.*?)(?:\"? while |$)"),),
    "SSL_do_handshake": (
        (
            "tls_plain_backend",
            _TLS.format(words="wrong version number|packet length too long|unknown protocol|http request"),
        ),
        (
            "tls_alert",
            _TLS.format(
                words=r"(?:ssl|tls)v\d alert [a-z0-9 ]+|alert [a-z0-9 ]+|unrecognized name|handshake failure"
                "|no protocols available|unsupported protocol|internal error"
            ),
        ),
    ),
    "peer": (("tls_peer_closed", r"peer closed connection in SSL handshake.* while SSL handshaking to upstream"),),
    "no": (
        ("no_live_upstreams", r"no live upstreams while connecting to upstream"),
        ("no_resolver", r"no resolver defined to resolve (?P<detail>[^\s,]+)"),
        ("bad_var_url", r"(?P<detail>no (?:port|host|path in the unix domain socket) in upstream) \""),
    ),
    "invalid": (("bad_var_url", r"(?P<detail>invalid (?:URL prefix in|(?:port|host) in upstream)) \""),),
    "too": (("bad_var_url", r"(?P<detail>too long path in the unix domain socket in upstream) \""),),
    "bind": (("bind_failed", r"bind\((?P<detail>[^)]+)\) failed \(\d+: "),),
    "socket": (("socket_failed", r"socket\(\) failed \(\d+: "),),
    "accept": (("socket_failed", r"accept\(\) failed \(\d+: "),),
    "accept4": (("socket_failed", r"accept4\(\) failed \(\d+: "),),
    "auth": (("auth_request", r"auth request unexpected status: (?P<detail>\d+)"),),
    # Files of temp paths and caches end in a number; other files are no business of an upstream.
    **{
        call: (
            (
                "temp_file",
                rf"{call}\(\) \"(?=[^\"]*[/.]\d{{10}}\")(?P<detail>/[^\"]*?)(?:/\d{{1,3}})*[/.]\d{{10}}\" "
                r"(?:failed \(\d+: |has written only)",
            ),
        )
        for call in ("open", "pwrite", "pwritev", "pread")
    },
    "mkdir": (("temp_file", r"mkdir\(\) \"(?P<detail>/[^\"]*?)(?:/\d{1,3})*\" failed \(\d+: "),),
}
#: Those whose first word says nothing.
_ELSE = (
    ("resolve_failed", r"(?P<name>\S+) could not be resolved \((?P<detail>\d+: [^)]*)\)"),
    ("worker_connections", r"\d+ worker_connections are not enough(?:, (?P<detail>reusing connections))?"),
    ("client_abort", r"(?:\w+\(\) reported that )?client prematurely closed connection"),
)


@lru_cache(maxsize=None)
def _grammar(word: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """What a message that begins with `word` may be. Of a log few kinds are ever needed, of a quiet one none."""
    patterns = (*_PATTERNS.get(word, ()), *_ELSE)
    return tuple((signature, re.compile(pattern, re.DOTALL)) for signature, pattern in patterns)


_FIRST_WORD = r"\w+"
_ERRNO = r"\((\d+): "


class Kind(NamedTuple):
    """What a message is about."""

    signature: str
    errno: int | None
    endpoint: EndpointKey | None  # as the message itself names it
    detail: str | None


def classify(head: str) -> Kind | None:
    """The kind of a message, `head` being the line after its connection number and before `, client:`."""
    word = re.match(_FIRST_WORD, head)
    for signature, pattern in _grammar(word[0] if word and word[0] in _PATTERNS else ""):
        match = pattern.match(head)
        if match:
            groups = match.groupdict()
            detail = ": ".join(filter(None, (groups.get("name"), groups.get("detail"))))
            errno = re.search(_ERRNO, head)
            return Kind(
                signature=signature,
                errno=int(errno[1]) if errno else None,
                endpoint=address_endpoint(groups.get("peer") or ""),
                detail=detail[:_DETAIL_LENGTH] if detail else None,
            )
    return None
