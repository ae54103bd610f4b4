# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a line of a journal, or of an app server's own log, is about: one signature for each kind.

The groups `name` and `detail` are what a signature tells beside its own name. journalctl is asked for the same
patterns, so they are written in the common part of Python's and PCRE's syntax. One that begins with whatever characters
makes that several times slower: they begin with words.
"""

from __future__ import annotations

import re
import signal
from functools import lru_cache
from typing import NamedTuple

_DETAIL_LENGTH = 160  # characters

# Signals of a stop, a restart or a reload that somebody asked for.
_ASKED = r"(?:SIG)?(?:HUP|INT|QUIT|TERM)\b"
_ASKED_NUMBERS = r"(?:1|2|3|15)\b"

#: The first match wins: what names its cause comes before what only says that something failed. What every start says
#: comes first of all: a host where nothing went wrong has no other line, and compiles no other pattern.
_PATTERNS = (
    ("gunicorn_booting_worker", r"Booting worker with pid: \d+"),
    ("systemd_started", r"^Started [^\n]+\.$"),
    ("nginx_emerg", r"\[emerg\] (?:\d+#\d+: )?(?P<detail>.*)"),
    ("gunicorn_worker_timeout", r"WORKER TIMEOUT \(pid: ?\d+\)"),
    (
        "gunicorn_worker_sigkill",
        r"Worker \(pid: ?\d+\) was sent SIGKILL"
        r"|Worker with pid \d+ was terminated due to signal 9\b",
    ),
    (
        "gunicorn_worker_signal",
        rf"Worker \(pid: ?\d+\) was sent (?!{_ASKED})(?P<name>SIG\w+)"
        rf"|Worker with pid \d+ was terminated due to signal (?!{_ASKED_NUMBERS})(?P<signal>\d+)",
    ),
    # 3 and 4 are gunicorn's own, and have lines of their own.
    ("gunicorn_worker_exited", r"Worker \(pid: ?\d+\) exited with code (?![034]\b)(?P<detail>\d+)"),
    ("gunicorn_boot_error", r"Reason: Worker failed to boot|Exception in worker process"),
    ("gunicorn_app_failed_to_load", r"Reason: App failed to load"),
    ("gunicorn_connection_in_use", r"Connection in use: (?P<detail>\(.*?\)|\S+)"),
    ("gunicorn_cannot_connect", r"Can't connect to (?P<detail>\(.*?\)|\S+)"),
    ("gunicorn_autorestart", r"Autorestarting worker after current request"),
    ("gunicorn_reload", r"Handling signal: hup\b"),
    ("uvicorn_address_in_use", r"\[[Ee]rrno 98\] error while attempting to bind on address (?P<detail>\(.*?\)|\S+)"),
    ("uvicorn_import_error", r"Error loading ASGI app\. (?P<detail>.*)"),
    ("uvicorn_child_died", r"Child process \[\d+\] died"),
    ("uvicorn_limit_concurrency", r"Exceeded concurrency limit"),
    ("node_eaddrinuse", r"listen EADDRINUSE:? (?:address already in use )?(?P<detail>\S+)"),
    ("uwsgi_invalid_block", r"invalid request block size: (?P<detail>\d+) \(max \d+\)"),
    ("uwsgi_listen_queue_full", r"uWSGI listen queue of socket \"(?P<detail>[^\"]*)\" \(fd: \d+\) full"),
    ("uwsgi_harakiri", r"HARAKIRI ON WORKER \d+|HARAKIRI triggered by worker"),
    (
        "uwsgi_worker_died",
        r"DAMN ! worker \d+ \(pid: \d+\) (?:died|MYSTERIOUSLY killed)(?:, killed by signal (?P<signal>\d+))?",
    ),
    ("uwsgi_reload", r"\.\.\.(?P<detail>gracefully|brutally) killing workers\.\.\."),
    ("uwsgi_no_app", r"no app loaded\.|no python application found|unable to load app \d+ \("),
    (
        "uwsgi_listen_over_somaxconn",
        r"Listen queue size is greater than the system max net\.core\.somaxconn \((?P<detail>\d+)\)",
    ),
    (
        "phpfpm_timed_out",
        r"\[pool (?P<name>[^\]]+)\] child \d+, script .* execution timed out \([\d.]+ sec\), terminating",
    ),
    (
        "phpfpm_max_children",
        r"\[pool (?P<name>[^\]]+)\] server reached (?:pm\.)?max_children setting \((?P<detail>\d+)\)",
    ),
    (
        "phpfpm_child_signal",  # the one that follows a time-out is SIGTERM
        rf"\[pool (?P<name>[^\]]+)\] child \d+ exited on signal (?!{_ASKED_NUMBERS})(?P<signal>\d+)",
    ),
    ("phpfpm_already_listening", r"[Aa]nother FPM instance seems to already listen on (?P<detail>\S+)"),
    ("puma_worker_timeout", r"! Terminating timed out worker"),
    ("puma_worker_died", r"\[BUG\] (?P<detail>[^\n]*?)(?= at 0x|$)"),  # Ruby's own words: puma has none for it
    ("puma_bound", r"There is already a server bound to: (?P<detail>\S+)"),
    (
        "port_in_use",
        r"running on the same address \((?P<detail>[^)]*)\)"
        r"|bind listening socket for address '(?P<name>[^']*)': Address"
        r"|Address already in use|address already in use|EADDRINUSE",
    ),
    ("no_space_left", r"No space left on device|ENOSPC"),
    ("too_many_files", r"Too many open files|EMFILE"),
    ("systemd_oom_kill", r"A process of this unit has been killed by the OOM killer"),
    ("systemd_scheduled_restart", r"Scheduled restart job, restart counter is at \d+"),
    ("systemd_start_limit", r"Start request repeated too quickly"),
    ("systemd_exec_failed", r"Failed at step (?P<detail>\w+) spawning"),
    ("systemd_failed_result", r"Failed with result '(?P<detail>[\w-]+)'"),
    ("kernel_oom_cgroup", r"oom-kill:.*task_memcg=(?P<detail>[^,]*)"),
    ("kernel_oom_killed", r"[Oo]ut of memory: Kill(?:ed)? process \d+ \((?P<detail>[^)]+)\)"),
    ("kernel_segfault", r"\]:? segfault at \w+ ip \w+ sp \w+ error \d+(?: in (?P<detail>[^\[\s,]+))?"),
    ("kernel_syn_flooding", r"Possible SYN flooding on port (?P<detail>\S+?)\. "),
    ("conntrack_table_full", r"nf_conntrack: table full"),
    ("apparmor_denied", r"apparmor=\"DENIED\".* profile=\"(?P<detail>[^\"]+)\""),
    ("avc_denied", r"avc: +denied +\{ (?P<detail>[^}]*?) \}"),
)

TRACEBACK = "Traceback (most recent call last):"
# The last line of a traceback: a class, in a module or named as errors are, and what it says.
_RAISED = r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt)(?:: |$)|^(?:[A-Za-z_]\w*\.)+[A-Z]\w*: "

#: What any line must hold to be of use.
ANY = "|".join(
    re.sub(r"\(\?P<\w+>", "(?:", pattern)
    for pattern in (*(pattern for _signature, pattern in _PATTERNS), re.escape(TRACEBACK), _RAISED)
)


class Told(NamedTuple):
    """What a line is about."""

    signature: str
    detail: str | None


@lru_cache(maxsize=None)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def told(message: str) -> Told | None:
    """The kind of one message; a traceback within it counts by what was raised."""
    if TRACEBACK in message and "\n" in message.strip():
        return raised(message.strip().rpartition("\n")[2])
    for signature, pattern in _PATTERNS:
        match = _compiled(pattern).search(message)
        if match:
            groups = match.groupdict()
            words = (groups.get("name"), groups.get("detail"), _signal_name(groups.get("signal")))
            return Told(signature=signature, detail=": ".join(filter(None, words))[:_DETAIL_LENGTH] or None)
    return None


def ends_traceback(line: str) -> bool:
    return re.match(_RAISED, line) is not None


def raised(line: str) -> Told:
    """The kind of a traceback that ends in this line."""
    return Told(signature="python_traceback", detail=line.strip()[:_DETAIL_LENGTH])


def _signal_name(number: str | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return number
