# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Can systemd containers run on this machine? Facts are gathered in one place, judged in another."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ._commands import LabError, run

CGROUP = Path("/sys/fs/cgroup")

#: command -> the Debian package that brings it
COMMANDS = {
    "podman": "podman",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "iptables": "iptables",
    "nft": "nftables",
    "runc": "runc",
    "crun": "crun",
    "wrk": "wrk",
}
#: podman needs one of these programs for a network with fixed addresses
NETWORK_PROGRAMS = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark", "/usr/lib/cni/bridge")


@dataclass(frozen=True)
class Facts:
    """What was found on this machine."""

    uid: int
    commands: frozenset[str]  # of COMMANDS, those that are there
    network_program: bool
    debian_keyring: bool
    pip: bool  # of the Python that runs the lab
    cgroup: str  # v2 | hybrid | v1 | none
    cgroup_writable: bool
    namespaces: bool  # the kernel lets us make mount, network and pid namespaces
    apt: bool


@dataclass(frozen=True)
class Problem:
    """One reason why the lab cannot run here, and the packages that remove it, if packages can."""

    text: str
    packages: tuple[str, ...] = ()


def cgroup_layout(root: Path = CGROUP) -> str:
    if (root / "cgroup.controllers").exists():
        return "v2"
    if (root / "unified" / "cgroup.procs").exists():
        return "hybrid"
    return "v1" if (root / "systemd").exists() else "none"


def runtime_arguments(cgroup: str) -> list[str]:
    """Podman's default runtime (crun) cannot run systemd on the older cgroup layouts; runc can."""
    return [] if cgroup == "v2" else ["--runtime", "runc"]


def gather_facts() -> Facts:
    layout = cgroup_layout()
    writable = {"v2": CGROUP, "hybrid": CGROUP / "systemd", "v1": CGROUP / "systemd"}.get(layout)
    return Facts(
        uid=os.geteuid(),
        commands=frozenset(name for name in COMMANDS if shutil.which(name, path=_search_path())),
        network_program=any(Path(program).exists() for program in NETWORK_PROGRAMS),
        debian_keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
        pip=importlib.util.find_spec("pip") is not None,
        cgroup=layout,
        cgroup_writable=writable is not None and os.access(writable, os.W_OK),
        namespaces=_succeeds(["unshare", "--mount", "--net", "--pid", "--fork", "true"]),
        apt=shutil.which("apt-get") is not None,
    )


def _search_path() -> str:
    # Users who are not root often lack sbin on their PATH, though the programs are installed.
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def _succeeds(argv: list[str]) -> bool:
    try:
        return run(argv, check=False).returncode == 0
    except LabError:
        return False


def judge(facts: Facts) -> list[Problem]:
    """Every reason why the lab cannot run, the ones that packages cannot remove first. Empty means it can."""
    return [*_privileges(facts), *_programs(facts)]


def _privileges(facts: Facts) -> list[Problem]:
    if facts.uid != 0:
        # What an ordinary user may do says nothing about what root may do.
        return [Problem("not root: systemd containers need it; run this again as root, for example with sudo")]
    problems = []
    if facts.cgroup == "none":
        problems.append(Problem(f"no control groups are mounted at {CGROUP}: systemd cannot run without them"))
    elif not facts.cgroup_writable:
        problems.append(Problem(f"the control groups at {CGROUP} are read-only: is this a container itself?"))
    if not facts.namespaces:
        problems.append(Problem("the kernel refuses new namespaces to root: is this a locked-down container?"))
    return problems


def _programs(facts: Facts) -> list[Problem]:
    problems = [
        Problem(f"{name} is missing", (COMMANDS[name],))
        for name in ("podman", "mmdebstrap", "ssh", "ssh-keygen", "iptables", "nft", "wrk")
        if name not in facts.commands
    ]
    runtimes = {"runc", "crun"} if facts.cgroup == "v2" else {"runc"}
    if not runtimes & facts.commands:
        why = "" if facts.cgroup == "v2" else f"; on cgroup {facts.cgroup} the other runtimes cannot run systemd"
        problems.append(Problem(f"runc is missing{why}", ("runc",)))
    if not facts.network_program:
        problems.append(Problem("podman has no network program (netavark)", ("netavark",)))
    if not facts.debian_keyring:
        problems.append(Problem("the Debian archive's keys are missing", ("debian-archive-keyring",)))
    if not facts.pip:
        problems.append(Problem(f"{sys.executable} has no pip, which fetches the current nginx", ("python3-pip",)))
    if not facts.apt:
        problems.append(Problem("apt-get is missing: images are built from the machine's own Debian mirrors"))
    return problems


def require_lab() -> None:
    """A LabError that says all that is missing, when anything is."""
    problems = judge(gather_facts())
    if problems:
        raise LabError("\n".join(["systemd containers cannot run here:", *advice(problems)]))


def advice(problems: list[Problem]) -> list[str]:
    """The problems in words, then the command that removes those that packages can remove."""
    packages = packages_of(problems)
    remedy = f"to install what is missing: {shlex.join(install_command(packages))}"
    return [*(problem.text for problem in problems), *([remedy] if packages else [])]


def packages_of(problems: list[Problem]) -> list[str]:
    """The packages that would help, each once, in the order in which they were missed."""
    return list(dict.fromkeys(package for problem in problems for package in problem.packages))


def install_command(packages: list[str]) -> list[str]:
    # Recommended packages would pull in buildah and the tools of rootless podman, which the lab does not use.
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def install(packages: list[str]) -> None:
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run(["apt-get", "update"], timeout=300)
    run([*environment, *install_command(packages)], timeout=900)
