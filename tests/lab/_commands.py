# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the lab runs programs, speaks to its user, and where it keeps its state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LAB_DIR = Path(__file__).resolve().parent
CHECKOUT = LAB_DIR.parents[1]
STATE_DIR = CHECKOUT / ".work" / "lab"


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and, where there is one, names the remedy."""


@dataclass(frozen=True)
class Result:
    """What a finished program left: its exit code and its output as text."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str], *, stdin: bytes = b"", check: bool = True, timeout: float = 120, cwd: Path | None = None
) -> Result:
    """Run a program to its end. A failure is a LabError that carries the program's own words, unless check is off."""
    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout, cwd=cwd, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{argv[0]}: {error}") from error
    result = Result(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.returncode != 0:
        words = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise LabError(f"`{' '.join(argv)[:300]}` ended with {result.returncode}: {words}")
    return result


def podman(*arguments: str, stdin: bytes = b"", check: bool = True, timeout: float = 120) -> Result:
    """Root's podman. An ordinary user has one of its own, which knows nothing of the lab."""
    if os.geteuid() != 0:
        raise LabError("not root: systemd containers need it; run this again as root, for example with sudo")
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    # Where a container runs out of memory, what watches over it leaves a file called `oom` where podman was called.
    return run(["podman", *arguments], stdin=stdin, check=check, timeout=timeout, cwd=STATE_DIR)


def say(message: str) -> None:
    """Progress for whoever waits; standard output stays free for what was asked for."""
    print(message, file=sys.stderr, flush=True)
