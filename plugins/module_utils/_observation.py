# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The observation: all that was gathered on one host at one time. The one bridge between hosts and controller.

An observation is plain JSON. Hosts produce it, the controller reads it, and nothing else crosses. A key is always
present; a value that could not be read is None or empty, and `missed` says what and why. Secrets are redacted and
whole config files left out before it leaves the host.

Collectors import these types for type checkers only: making them takes a host longer than many a collector needs.
"""

from __future__ import annotations

from typing import Any, Dict, List, TypedDict

from ansible_collections.sre.bad_gateway.plugins.module_utils._version import SCHEMA_VERSION

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
    local_time: str  # "2026/11/21 03:50:01" when it was looked at, as nginx's logs print it
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
    endpoints: list[EndpointKey]  # empty when they cannot be read off the configuration
    variables: bool  # the target holds nginx variables
    chosen: bool  # a variable chooses among the endpoints: a request gets one of them, no other is tried
    settings: int  # which of the instance's `route_settings` is in force here
    file: str
    line: int


#: Directives in force with their arguments, by name, in the file's order: {"proxy_set_header": [["Host", "$host"]]}.
#: Inheritance is resolved as nginx does it; what is left at its default is absent.
Settings = Dict[str, List[List[str]]]


class ConfigStatus(TypedDict):
    """A place in the config that makes or maps one of the statuses 500 to 504 itself."""

    status: int
    directive: str  # return | error_page | proxy_cache_valid | proxy_intercept_errors ...
    arguments: list[str]
    server_names: list[str]
    location: str  # "" at the level of a server or above
    conditional: bool  # below an `if`
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


class AccessLogSetting(TypedDict):
    destination: str  # absolute path, "syslog:..." or "off"
    format: str  # the whole log_format text, "$remote_addr - ..."; that of "combined" when none is named
    server_names: list[str]  # of the servers that write there; empty when all do
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
    access_logs: list[AccessLogSetting]
    settings: Settings  # of the levels main, events and http: worker_connections, resolver ...
    route_settings: list[Settings]  # each once; a route names its own by index
    statuses: list[ConfigStatus]
    open_files_limit: int | None  # soft limit of a worker, None when it does not run or cannot be seen
    open_files: int | None  # the most that any worker holds now
    workers_since: str  # "2026/11/21 03:00:00", local: its workers read the configuration then; "" when not known
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
    network_namespace: str  # "net:[4026531840]" where it listens, "" when it is that of the host or not known
    file_exists: bool | None  # unix only: something is at that path, seen from the host's root
    file_is_this_socket: bool | None  # unix only: False when another socket or file took its place
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
    denied_at: str | None  # first path on the way, itself last, that the nginx worker may not pass or write to
    seen_by: list[str]  # units in whose private mount namespace a file is at that path, though not at the host's own


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
    unrevived_by: str  # the drop-in that says Restart=no: somebody decided so; "" when none does
    need_daemon_reload: bool
    raw: dict[str, str]  # every further property that was asked for, as systemd printed it


class AppServer(TypedDict):
    """The process, or the unit that should start it, that answers on endpoints."""

    kind: str  # gunicorn | uwsgi | node | uvicorn | php-fpm | puma | other
    unit: str | None
    pids: list[int]  # empty when it does not run
    running_since: str  # "2026/11/21 03:00:00", local: its master was started then; "" when not known
    binds: list[EndpointKey]  # where its settings say that it listens
    binds_known: bool  # False: its settings could not be read as far as that; `binds` may be incomplete
    binds_from: str  # "ExecStart", "GUNICORN_CMD_ARGS", "/srv/app/gunicorn.conf.py", "default", ...
    listens: list[EndpointKey]  # where its processes do listen now
    settings: dict[str, Any]  # the kind's own, and for every kind, None when not known: workers, threads, concurrency,
    #                           backlog, idle_timeout (s, 0: keeps no connection), request_timeout (s, 0: never)
    settings_from: dict[str, str]  # where each of them is set, as in `binds_from`; "default" is the kind's own
    settings_known: bool  # False: not all could be read, and `missed` says why
    version: str  # of the app server, "" when it could not be told without running it
    capacity: AppCapacity


class AppCapacity(TypedDict):
    """What an app server has to work with, measured. None: could not be read, or it does not run."""

    workers_running: int | None  # processes below the master
    cpus: float | None  # CPUs left by the cgroups' quotas and by affinity
    memory_limit: int | None  # bytes, the tightest of the cgroups on the way up; None also when there is no limit
    memory_current: int | None  # bytes of its cgroup
    memory_per_worker: int | None  # bytes, mean of the workers: proportional (PSS), else resident
    oom_kills: int | None  # of its cgroup since it was made
    open_files_limit: int | None  # soft limit of the master
    open_files: int | None  # the most that one of its processes holds


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
    speaks: str | None  # what the other side was shown to speak where that is not the protocol: http | tls | uwsgi
    #                     | fastcgi | http2 | ssh | redis ...; None also when it gave nothing to tell by
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
    details: dict[str, int]  # what the signature's own group tells, with the lines of each; at most 8
    subrequests: int  # lines that carry a 'subrequest:' field
    writer_ended: bool  # the process that wrote the newest line does not run any more
    per_minute: dict[str, int]  # "2026/11/21 03:50" -> lines


class ErrorLog(TypedDict):
    path: str
    level: str
    available: bool
    why: str  # why not; "" when available
    size: int  # bytes of the file
    bytes_read: int
    files_read: list[str]  # the log itself and what was rotated away from it, newest first
    whole: bool  # all lines of the time that was asked for were read
    since: str | None  # time of the oldest line that was read
    lines: int
    unclassified: int  # lines about an upstream that no signature matches
    events: list[ErrorLogEvent]


class AccessLogEvent(TypedDict):
    """Requests that ended alike, folded. Only those that ended with 499, 009 or 500 and above, or after a retry."""

    status: int
    upstream_status: str | None  # "502, 200" as logged; None where the format has none
    upstream: str | None  # $upstream_addr as logged
    endpoint: EndpointKey | None  # the last of `upstream`
    server: str | None  # $server_name or $host, where the format has one
    methods: dict[str, int]
    count: int
    first: str  # "2026/11/21 03:50:01", the host's local time
    last: str
    slowest: float | None  # seconds, $request_time
    sample: str  # the request line, query string cut off
    per_minute: dict[str, int]


class AccessLog(TypedDict):
    path: str
    available: bool
    why: str  # why not, or why its format cannot be read; "" when available
    has_upstream_status: bool  # only then a retried error can be told from a served one
    size: int
    bytes_read: int
    files_read: list[str]
    since: str | None
    requests: int
    per_minute: dict[str, int]  # all requests
    events: list[AccessLogEvent]


class JournalEvent(TypedDict):
    """Lines of a unit's journal of one kind, folded."""

    signature: str  # id of the journal grammar: gunicorn_worker_timeout, oom_killed, port_in_use, ...
    count: int
    first: str  # "2026/11/21 03:50:01", the host's local time
    last: str
    details: dict[str, int]  # as in an error log's event
    sample: str
    per_minute: dict[str, int]


class Journal(TypedDict):
    unit: str  # "kernel" for the kernel's own lines
    available: bool
    why: str
    since: str | None
    lines: int
    events: list[JournalEvent]
    tail: list[str]  # the newest lines, redacted: at most 10, and only of units that failed or restarted


class FilterRule(TypedDict):
    """A packet filter's rule that hits an endpoint."""

    tool: str  # nftables | iptables | ip6tables
    where: str  # "inet filter output"
    rule: str  # as the tool prints it
    verdict: str  # drop | reject
    endpoints: list[EndpointKey]
    user: str | None  # whom an owner match is about
    certain: bool  # False: it, or an accepting rule before it, matches on something that is not known here
    packets: int | None  # counter


class NetworkPath(TypedDict):
    """How the host would reach an address of an endpoint."""

    address: str
    reachable: bool
    why: str  # "" when reachable; what the routing table says
    interface: str | None
    neighbour: str | None  # reachable | stale | failed | incomplete ...; None when it needs none or is not known


class Connections(TypedDict):
    """TCP connections of this host to one address and port."""

    address: str  # "10.0.0.2:8000"
    established: int
    syn_sent: int
    time_wait: int
    close_wait: int


class Network(TypedDict):
    filters: list[FilterRule]
    paths: list[NetworkPath]
    connections: list[Connections]  # to addresses of endpoints
    sysctls: dict[str, str]  # net.core.somaxconn, net.ipv4.ip_local_port_range ...; only what could be read
    listen_overflows: int | None  # since boot, in the host's network namespace
    listen_overflows_while_looking: int | None  # the difference while this observation was made
    conntrack_count: int | None
    conntrack_max: int | None


class Filesystem(TypedDict):
    """Where something lies that nginx or an app server writes."""

    mount: str
    paths: list[str]  # what lies there: "/var/log/nginx/error.log"
    size: int  # bytes
    free: int  # bytes left for users other than root
    inodes: int  # 0 where the file system counts none
    inodes_free: int
    read_only: bool


class Denial(TypedDict):
    """What a security module refused."""

    module: str  # selinux | apparmor
    process: str
    permission: str  # "name_connect", "connectto", "write"
    target: str  # port or path, as far as it is said
    count: int
    last: str  # the host's local time, "" when not known
    sample: str


class LogRotation(TypedDict):
    """Whether a log is rotated away before it fills its file system."""

    path: str  # of the log
    by: str | None  # the logrotate file that covers it
    size: int  # bytes now


class Capacity(TypedDict):
    """What the host has, and what holds it back."""

    cpus: int
    memory: int  # bytes
    memory_available: int
    filesystems: list[Filesystem]
    log_rotation: list[LogRotation]
    selinux: str  # enforcing | permissive | disabled | absent
    apparmor: str  # enforcing | absent; enforcing when a profile confines nginx
    denials: list[Denial]


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
    access_logs: list[AccessLog]
    journals: list[Journal]
    network: Network
    capacity: Capacity
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
