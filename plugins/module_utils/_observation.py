# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The observation: all that was gathered on one host at one time. The one bridge between hosts and controller.

An observation is plain JSON. Hosts produce it, the controller reads it, and nothing else crosses. A key is always
present; a value that could not be read is None or empty, and `missed` says what and why. Secrets are redacted and
whole config files left out before it leaves the host.
"""

from __future__ import annotations

from typing import Any, TypedDict

SCHEMA_VERSION = 1

#: That of galaxy.yml, which does not travel to hosts.
COLLECTION_VERSION = "0.1.0"

#: An endpoint's key: "tcp:HOST:PORT" (host as written, IPv6 in brackets) or "unix:/path". Never contains a URI.
EndpointKey = str


class Missed(TypedDict):
    """Something that could not be seen."""

    what: str  # for example "error log /var/log/nginx/error.log"
    why: str  # for example "Permission denied"


class Position(TypedDict):
    file: str
    line: int


class HostInfo(TypedDict):
    hostname: str
    addresses: list[str]  # every address of every interface, loopback included, without prefix length
    boot_id: str  # /proc/sys/kernel/random/boot_id; "" when unreadable. Equal on hosts that share one kernel.
    network_namespace: str  # "net:[4026531840]" of the module; "" when unreadable
    python: str  # "3.11.2"
    uid: int  # effective user that looked
    systemd: bool  # PID 1 of this host is a systemd that answers


class Endpoint(TypedDict):
    """One address that a route ends at, or that an app server listens on (then `routes` of it is empty)."""

    key: EndpointKey
    transport: str  # tcp | unix
    host: str | None  # as written, without brackets; None for unix
    port: int | None
    path: str | None  # of a unix socket
    protocol: str  # http | https | uwsgi | fastcgi | scgi | grpc | grpcs: what the route speaks there
    addresses: list[str]  # what the host resolves `host` to, in order; [host] when it is an address
    resolve_error: str | None  # why the name did not resolve
    written_at: list[Position]  # every `server` or `*_pass` argument that names it; empty if no route uses it


class Route(TypedDict):
    """One `*_pass` in force."""

    id: str  # "SERVER_NAME[:PORT] LOCATION", unique in the instance; for messages
    server_names: list[str]
    listen: list[str]  # as written: "80", "[::]:443 ssl"
    location: str  # "/", "= /x", "~ \\.php$", "@app"; nested locations show the innermost
    directive: str  # proxy_pass | uwsgi_pass | fastcgi_pass | grpc_pass | scgi_pass
    target: str  # the argument as written, credentials redacted
    upstream: str | None  # name of the upstream block it goes through
    endpoints: list[EndpointKey]  # empty when the target holds variables or cannot be read as an address
    variables: bool  # the target holds nginx variables
    file: str
    line: int


class UpstreamServer(TypedDict):
    address: str  # as written
    endpoint: EndpointKey | None
    parameters: list[str]  # "max_fails=3", "backup", "down"
    line: int
    file: str


class Upstream(TypedDict):
    name: str
    servers: list[UpstreamServer]
    directives: list[list[str]]  # every other directive of the block with its arguments: ["keepalive", "32"]
    file: str
    line: int


class ConfigMessage(TypedDict):
    """A line of `nginx -t`, or an error of our own reading."""

    level: str  # emerg | alert | crit | error | warn
    message: str
    file: str | None
    line: int | None


class ConfigTest(TypedDict):
    """`nginx -t` with the instance's own binary, -c and -p."""

    ran: bool
    ok: bool  # False when it did not run
    why: str  # why it did not run; "" when it ran
    messages: list[ConfigMessage]


class ErrorLogSetting(TypedDict):
    destination: str  # absolute path, "syslog:...", "stderr" or "off"
    level: str  # "error" by default
    file: str
    line: int  # 0 when it is the compiled-in default


class NginxInstance(TypedDict):
    """One nginx: a running master process, or a unit or config file that should have one."""

    id: str  # "nginx" or "nginx@/etc/nginx-b/nginx.conf" when there are several
    running: bool
    pid: int | None  # of the master
    binary: str
    version: str  # "1.22.1"; "" when it could not be asked
    flavour: str  # nginx | openresty | plus | angie | tengine
    config: str  # absolute path of its main file
    prefix: str  # absolute
    user: str | None  # workers' user: from the running workers, else from the `user` directive
    unit: str | None  # "nginx.service"
    config_readable: bool  # our own reading saw the whole config
    config_errors: list[ConfigMessage]  # what our own reading could not read
    test: ConfigTest
    files: list[str]
    routes: list[Route]
    upstreams: list[Upstream]
    error_logs: list[ErrorLogSetting]
    runs_as_configured: bool | None  # False: a config file is newer than the workers; None: not known


class Listener(TypedDict):
    """One listening socket. `unit` and `pid` are None when the owner could not be seen."""

    transport: str  # tcp | unix
    address: str  # "127.0.0.1", "::", "0.0.0.0", or the socket's path ("@name" when abstract)
    port: int | None
    inode: int
    pid: int | None  # lowest pid that holds it: the master
    process: str | None  # its command name
    unit: str | None
    backlog: int | None  # the limit
    queued: int | None  # connections waiting now
    file_exists: bool | None  # unix only: something is at that path, seen from the host's root
    file_mode: str | None  # unix only: "0660"
    file_owner: str | None  # unix only: "www-data:www-data"


class SocketFile(TypedDict):
    """What is at the path of a unix endpoint that a route uses."""

    path: str
    exists: bool
    is_socket: bool
    listening: bool  # some process listens on it
    mode: str | None
    owner: str | None
    missing_parent: str | None  # topmost directory on the way that does not exist


class Unit(TypedDict):
    """`systemctl show` of one unit, the fields that matter, typed."""

    name: str
    load_state: str  # loaded | not-found | masked | bad-setting | error
    active_state: str  # active | inactive | failed | activating | deactivating | reloading
    sub_state: str
    unit_file_state: str  # enabled | disabled | static | indirect | generated | ""
    result: str  # success | exit-code | start-limit-hit | oom-kill | ...
    restart: str  # no | always | on-failure | ...
    restarts: int  # NRestarts
    main_pid: int
    exit_code: int  # ExecMainStatus
    active_since: str
    exec_start: list[str]  # argv, secrets redacted
    environment: dict[str, str]  # only what an app server reads (PORT, GUNICORN_CMD_ARGS, ...), redacted
    working_directory: str
    user: str
    after: list[str]
    requires: list[str]
    wants: list[str]
    triggered_by: list[str]
    fragment: str
    drop_ins: list[str]
    need_daemon_reload: bool
    raw: dict[str, str]  # every further property that was asked for, as systemd printed it


class AppServer(TypedDict):
    """The process, or the unit that should start it, that answers on endpoints."""

    kind: str  # gunicorn | uwsgi | node | uvicorn | php-fpm | other
    unit: str | None
    pids: list[int]  # empty when it does not run
    binds: list[EndpointKey]  # where its settings say that it listens
    binds_known: bool  # False: its settings could not be read as far as that; `binds` may be incomplete
    binds_from: str  # "ExecStart", "GUNICORN_CMD_ARGS", "/srv/app/gunicorn.conf.py", "default", ...
    listens: list[EndpointKey]  # where its processes do listen now
    settings: dict[str, Any]  # kind's own: {"workers": 3, "worker_class": "sync"}; only what was read


class Probe(TypedDict):
    """One connection to one endpoint, made as nginx makes it."""

    endpoint: EndpointKey
    protocol: str
    address: str  # the address tried: "127.0.0.1:8000", "unix:/run/x.sock"; "" when the name did not resolve
    outcome: str  # answered | connected | refused | missing | denied | timeout | unreachable | reset | closed
    #               | mismatch (answered in another protocol) | unresolved | queue_full | error | not_probed
    phase: str  # resolve | connect | tls | send | read
    errno: int | None
    detail: str  # "HTTP/1.1 200 OK", "Connection refused", what went wrong
    status: int | None  # HTTP status when one came back
    instance: str  # NginxInstance.id as whose worker it was made; "" when none
    user: str  # the user that connected
    as_nginx: bool  # with the worker's uid and groups, inside the master's namespaces; `missed` says why not
    milliseconds: int


class ErrorLogEvent(TypedDict):
    """Lines of one kind, folded."""

    signature: str  # id of the log grammar: connect_refused, connect_enoent, timeout_header, ...
    level: str
    errno: int | None
    upstream: str | None  # 'upstream:' field, URI cut off: "http://127.0.0.1:8000", "http://unix:/run/x.sock"
    endpoint: EndpointKey | None
    server: str | None  # 'server:' field
    count: int
    first: str  # "2026/11/21 03:50:01", the host's local time as nginx prints it
    last: str
    sample: str  # one whole line, credentials and query string redacted
    per_minute: dict[str, int]  # "2026/11/21 03:50" -> lines


class ErrorLog(TypedDict):
    path: str
    level: str
    available: bool
    why: str  # why not; "" when available
    size: int  # bytes of the file
    bytes_read: int
    since: str | None  # time of the oldest line that was read
    lines: int
    unclassified: int  # lines about an upstream that no signature matches
    events: list[ErrorLogEvent]


class Observation(TypedDict):
    schema: int
    collection_version: str
    observed_at: str  # UTC, ISO 8601, of the host's clock
    seconds: float  # how long it took on the host
    host: HostInfo
    nginx: list[NginxInstance]  # empty: none found; `missed` says where it was looked for
    endpoints: list[Endpoint]
    listeners: list[Listener]
    socket_files: list[SocketFile]
    units: list[Unit]
    app_servers: list[AppServer]
    probes: list[Probe]
    error_logs: list[ErrorLog]
    missed: list[Missed]


class ObservationError(ValueError):
    """An observation that cannot be used; the message says which part and what to do."""


def checked(data: object, *, source: str) -> Observation:
    """Return `data` as an Observation, or raise ObservationError naming `source` and the remedy."""
    if not isinstance(data, dict):
        raise ObservationError(f"{source}: not an observation (expected a JSON object, found {type(data).__name__})")
    schema = data.get("schema")
    if schema != SCHEMA_VERSION:
        raise ObservationError(
            f"{source}: observation schema {schema!r} is not {SCHEMA_VERSION}; "
            "audit the host again with this version of the collection"
        )
    absent = sorted(set(Observation.__annotations__) - set(data))
    if absent:
        raise ObservationError(f"{source}: not a whole observation, {', '.join(absent)} missing; audit the host again")
    return data  # type: ignore[return-value]  # the shape below the top level is the producer's promise
