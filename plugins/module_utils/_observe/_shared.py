# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What collectors share: commands bounded in time, names of users, times, and the list of what could not be seen."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Missed


#: nginx and systemctl stand here on hosts whose non-login PATH leaves them out.
SEARCH_PATH = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "/usr/local/nginx/sbin:/usr/local/openresty/nginx/sbin",
    ]
)


@dataclass
class Notes:
    """What could not be seen, each thing once, in the order in which it was found out."""

    entries: list[Missed] = field(default_factory=list)

    def miss(self, what: str, why: object) -> None:
        entry: Missed = {"what": what, "why": reason(why)}
        if entry not in self.entries:
            self.entries.append(entry)


def reason(why: object) -> str:
    """An OSError's own words without the path that `what` already names."""
    if isinstance(why, OSError) and why.strerror:
        return why.strerror
    return str(why)


def local_time(seconds: float) -> str:
    """A time of the epoch as nginx prints it, by this host's clock."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))


class Ran(NamedTuple):
    """A finished command. `status` is None when it could not start or took too long; `why` then says which."""

    status: int | None
    stdout: str
    stderr: str
    why: str
    cut: str = ""  # what a command that took too long had printed by then


def run(argv: list[str], *, seconds: float) -> Ran:
    """Run a command in the C locale, without input, for at most `seconds`."""
    environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "", "PATH": SEARCH_PATH, "SYSTEMD_COLORS": "0"}
    try:
        # run_command of AnsibleModule has no time-out, and what reads a host knows nothing of modules.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        printed = error.stdout if isinstance(error.stdout, bytes) else b""  # bytes, whatever the encoding asked for
        why = f"{argv[0]} did not end within {seconds:g} s"
        return Ran(status=None, stdout="", stderr="", why=why, cut=printed.decode("utf-8", "replace"))
    except OSError as error:
        return Ran(status=None, stdout="", stderr="", why=f"{argv[0]}: {reason(error)}")
    return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr, why="")
