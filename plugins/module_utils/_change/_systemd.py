# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemctl, asked so that its answers can be relied upon."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _shared
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_message
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran


class SystemdError(ChangeError):
    """systemd refused, or is not there; the message names the unit and the remedy."""


def run(command: list[str], *, seconds: float = 90.0) -> Ran:
    """Run one of systemd's commands; SystemdError when it is missing or hangs."""
    answer = _shared.run(command, seconds=seconds)
    if answer.status is None:
        raise SystemdError(f"{answer.why}; units can only be changed where systemd runs and answers")
    return answer


def properties(unit: str, *names: str) -> dict[str, str]:
    """Return the asked-for properties of a unit; SystemdError when any did not come back."""
    answer = run(["systemctl", "show", "--property=" + ",".join(names), "--", unit])
    values = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    absent = [name for name in names if name not in values]
    # systemctl exits 0 even when it could not tell: what counts is that every property came back.
    if absent:
        raise SystemdError(
            f"{unit}: systemctl did not tell {', '.join(absent)}: {answer.stderr.strip() or 'no reason'}"
        )
    return values


def is_known(unit: str) -> bool:
    """Whether the host has such a unit, in whatever state."""
    return properties(unit, "LoadState")["LoadState"] != "not-found"


def require_loaded(unit: str) -> None:
    """Raise SystemdError unless systemd knows the unit and could load it."""
    state = properties(unit, "LoadState", "LoadError")
    if state["LoadState"] == "not-found":
        raise SystemdError(f"{unit}: systemd knows no such unit; see `systemctl list-unit-files` for its name")
    if state["LoadState"] != "loaded":
        raise SystemdError(f"{unit}: it is {state['LoadState']} ({state['LoadError'].strip()}); mend the unit first")


def daemon_reload() -> None:
    """Let systemd read its units again."""
    answer = run(["systemctl", "daemon-reload"])
    if answer.status != 0:
        raise SystemdError(f"systemctl daemon-reload failed: {answer.stderr.strip()}")


def act(action: str, unit: str) -> None:
    """Start, stop, restart or reload a unit; SystemdError holds its last journal lines."""
    answer = run(["systemctl", action, "--", unit])
    if answer.status != 0:
        said = answer.stderr.strip() or f"exit code {answer.status}"
        raise SystemdError(
            f"systemctl {action} {unit}: {said}; its last journal lines: {' | '.join(journal_tail(unit))}"
        )


def revive(action: str, unit: str) -> None:
    """The same, also for a unit that gave up after too many starts: it refuses until its counter is cleared."""
    if action != "reload":
        run(["systemctl", "reset-failed", "--", unit])
    act(action, unit)


def signal(unit: str, name: str) -> None:
    """Send a signal to a unit's main process."""
    # --kill-who: newer systemd take it as well as --kill-whom, older ones know nothing else.
    answer = run(["systemctl", "kill", "--kill-who=main", f"--signal={name}", "--", unit])
    if answer.status != 0:
        raise SystemdError(f"systemctl kill {unit}: {answer.stderr.strip()}")


def journal_tail(unit: str, *, lines: int = 10) -> list[str]:
    """Return the unit's last journal lines, or one line that says why there are none."""
    try:
        answer = run(
            ["journalctl", "--no-pager", "--quiet", f"--lines={lines}", "--output=short-iso", f"--unit={unit}"]
        )
    except SystemdError as error:
        return [str(error)]
    told = [redact_message(line) for line in answer.stdout.splitlines()]
    return told or [answer.stderr.strip() or "the journal holds nothing about it"]
