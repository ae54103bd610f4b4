# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemctl, asked so that its answers can be relied upon."""

from __future__ import annotations

import os
import subprocess
from typing import Dict, List, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError


class SystemdError(ChangeError):
    """systemd refused, or is not there; the message names the unit and the remedy."""


def run(command: Sequence[str], *, timeout: float = 90.0) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's commands in the C locale; SystemdError when it is missing or hangs."""
    try:
        return subprocess.run(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
    except FileNotFoundError as error:
        raise SystemdError(f"{command[0]} is not on this host: units can only be changed where systemd runs") from error
    except subprocess.TimeoutExpired as error:
        raise SystemdError(f"{' '.join(command)}: no answer within {timeout:g} s; is systemd busy or stuck?") from error


def properties(unit: str, *names: str) -> Dict[str, str]:
    """Return the asked-for properties of a unit; SystemdError when any did not come back."""
    answer = run(["systemctl", "show", "--property=" + ",".join(names), "--", unit])
    values = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    absent = [name for name in names if name not in values]
    # systemctl exits 0 even when it could not tell: what counts is that every property came back.
    if absent:
        raise SystemdError(f"{unit}: systemctl did not tell {', '.join(absent)}: {answer.stderr.strip() or 'no reason'}")
    return values


def require_loaded(unit: str) -> None:
    """Raise SystemdError unless systemd knows the unit and could load it."""
    state = properties(unit, "LoadState", "LoadError")
    if state["LoadState"] == "not-found":
        raise SystemdError(f"{unit}: systemd knows no such unit; see `systemctl list-unit-files` for its name")
    if state["LoadState"] != "loaded":
        raise SystemdError(f"{unit}: it is {state['LoadState']} ({state['LoadError'].strip()}); mend the unit first")


def journal_tail(unit: str, *, lines: int = 10) -> List[str]:
    """Return the unit's last journal lines, or one line that says why there are none."""
    try:
        answer = run(["journalctl", "--no-pager", "--quiet", f"--lines={lines}", "--output=short-iso", f"--unit={unit}"])
    except SystemdError as error:
        return [str(error)]
    return answer.stdout.splitlines() or [answer.stderr.strip() or "the journal holds nothing about it"]
