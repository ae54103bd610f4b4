# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets of systemd containers: brought up in parallel, found again by their labels, taken down without a trace."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import json
import re
import resource
import shutil
import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from . import _images
from ._commands import CHECKOUT, LAB_DIR, STATE_DIR, LabError, Result, podman, run, say
from ._doctor import cgroup_layout, runtime_arguments
from ._inventory import render, ssh_variables
from ._requests import status_of
from ._trees import Entry, enabling_link, entries_of, lay_over, tar_of

ROLES_DIR = LAB_DIR / "roles"
FLEETS_DIR = STATE_DIR / "fleets"
LABEL = "sre.bad_gateway.lab"  # its value is the checkout that started the container or network
CHECKOUT_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6]
CONTROL_DIR = Path("/run/bad-gateway-lab")  # short, because the path of a unix socket must be
BOOT_SECONDS = 60
#: A booted host takes eight inotify instances, and Linux gives root 128 of them: the seventeenth host would hang.
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
#: The first addresses of a network belong to its gateway and to whatever podman reserves.
FIRST_ADDRESS = 10


@dataclass(frozen=True)
class HostSpec:
    """A host to bring up: its name in the fleet, what it is made of, and the image it runs."""

    name: str
    roles: tuple[str, ...] = ("plain",)
    image: str = "debian12"
    files: tuple[Entry, ...] = ()  # of its own, over those of its roles
    enabled: tuple[str, ...] = ()  # units of its own, besides those of its roles
    memory: str = ""  # its limit, as podman writes it: "200m"
    capabilities: tuple[str, ...] = ()  # of its root, besides those that every host of the lab has

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", self.name):
            raise LabError(f"host name {self.name!r}: use lower-case letters, digits and dashes")
        if self.image not in _images.SUITES:
            raise LabError(f"unknown image {self.image!r}; there are: {', '.join(_images.SUITES)}")
        unknown = [role for role in self.roles if role not in role_names()]
        if unknown:
            raise LabError(f"unknown role {unknown[0]!r}; there are: {', '.join(role_names())}")


def role_names() -> list[str]:
    return sorted(path.name for path in ROLES_DIR.iterdir() if path.is_dir())


def host_entries(spec: HostSpec, public_key: bytes) -> list[Entry]:
    """All that is laid over the image before the host boots."""
    directories = [ROLES_DIR / role for role in spec.roles]
    files = [*(entry for directory in directories for entry in entries_of(directory / "root")), *spec.files]
    shipped = {entry.path for entry in files}
    enabled = [*(unit for directory in directories for unit in _lines(directory / "enabled")), *spec.enabled]
    links = [enabling_link(unit, shipped) for unit in dict.fromkeys(enabled)]
    # The key is root's in both homes: sshd takes it from there, and the user may read it.
    keys = [Entry(f"{home}/.ssh/authorized_keys", 0o644, public_key) for home in ("root", "home/admin")]
    return [*files, *links, *keys]


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def create_arguments(
    *,
    spec: HostSpec,
    container: str,
    network: str,
    labels: dict[str, str],
    addresses: dict[str, str],
    cgroup: str,
    max_files: int,
) -> list[str]:
    """The `podman create` of one host: systemd as PID 1, and the fleet's other hosts in its /etc/hosts."""
    return [
        *(*runtime_arguments(cgroup), "create", "--name", container, "--hostname", spec.name),
        *("--systemd=always", "--pids-limit=0", f"--ulimit=nofile=1024:{min(20000, max_files)}"),
        # SYS_ADMIN and NET_ADMIN: private mount namespaces for `nginx -t`, and firewall faults.
        *("--ulimit=nproc=1000:1000", f"--cap-add={','.join(('SYS_ADMIN', 'NET_ADMIN', *spec.capabilities))}"),
        *("--network", network, "--ip", addresses[spec.name]),
        *((f"--memory={spec.memory}",) if spec.memory else ()),
        *(f"--add-host={name}:{address}" for name, address in addresses.items() if name != spec.name),
        *(f"--label={key}={value}" for key, value in labels.items()),
        _images.tag_of(spec.image),
    ]


def addresses_in(subnet: str, names: Sequence[str]) -> dict[str, str]:
    hosts = itertools.islice(ipaddress.ip_network(subnet).hosts(), FIRST_ADDRESS - 1, None)
    return {name: str(address) for name, address in zip(names, hosts)}


class Fleet:
    """Named hosts on a network of their own. A context manager: up on entry, down on exit whatever happened."""

    def __init__(self, name: str, hosts: Iterable[HostSpec] = ()) -> None:
        if not re.fullmatch(r"(?!embedded$)[a-z][a-z0-9_-]{0,31}", name):
            raise LabError(f"fleet name {name!r}: use lower-case letters, digits, - and _; `embedded` is taken")
        self.name = name
        self.hosts = tuple(hosts)
        names = [spec.name for spec in self.hosts]
        if len(set(names)) != len(names):
            raise LabError(f"a host of the fleet {name} is named twice: {', '.join(names)}")
        self._addresses: dict[str, str] = {}

    @classmethod
    def attach(cls, name: str) -> Fleet:
        """The running fleet of that name, as its containers' labels describe it."""
        found = [labels for labels in _containers() if labels[f"{LABEL}.fleet"] == name]
        if not found:
            raise LabError(f"no fleet {name} is up; `list` shows those that are")
        found.sort(key=lambda labels: ipaddress.ip_address(labels[f"{LABEL}.address"]))
        fleet = cls(name, [_spec_of(labels) for labels in found])
        fleet._addresses = {labels[f"{LABEL}.host"]: labels[f"{LABEL}.address"] for labels in found}
        return fleet

    @property
    def directory(self) -> Path:
        return FLEETS_DIR / self.name

    @property
    def inventory_path(self) -> Path:
        return self.directory / "inventory.yml"

    def __enter__(self) -> Fleet:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Bring every host up, in parallel. Whatever an earlier, broken attempt left is removed first."""
        for image in dict.fromkeys(spec.image for spec in self.hosts):
            _images.build(image)
        self.down()
        raise_limit(INOTIFY_LIMIT, INOTIFY_INSTANCES)
        try:
            self._prepare()
            with ThreadPoolExecutor(max_workers=max(1, len(self.hosts))) as pool:
                list(pool.map(self._create, self.hosts))
                self._lay_roles_over()
                list(pool.map(self._start, self.hosts))
        except BaseException:  # also when interrupted: half a fleet helps nobody
            self.down()
            raise

    def down(self) -> None:
        """Remove all that carries this fleet's label, running or half made, and the fleet's own files."""
        mine = [f"label={LABEL}={CHECKOUT}", f"label={LABEL}.fleet={self.name}"]
        filters = [f"--filter={text}" for text in mine]
        containers = podman("ps", "--all", "--quiet", *filters).stdout.split()
        if containers:
            podman("rm", "--force", "--time=0", "--volumes", *containers)
        for network in podman("network", "ls", "--quiet", *filters).stdout.split():
            podman("network", "rm", "--force", network)
        self._close_connections()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, host: str, command: str | Sequence[str], *, check: bool = True, stdin: bytes = b"") -> Result:
        """Run a command on a host as root: a list as it is, a string in a shell."""
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        return podman(*self.exec_arguments(host, argv), check=check, stdin=stdin)

    def exec_arguments(self, host: str, argv: Sequence[str]) -> list[str]:
        return ["exec", "--interactive", self._container(host), *argv]

    def write(self, host: str, path: str, content: str, *, mode: int = 0o644) -> None:
        """Put a text file on a host, with the directories that it needs."""
        archive = tar_of([Entry(path.lstrip("/"), mode, content.encode())])
        self.run(host, ["tar", "--extract", "--file=-", "--directory=/"], stdin=archive)

    def address(self, host: str) -> str:
        if host not in self._addresses:
            raise LabError(f"the fleet {self.name} has no host {host} that is up")
        return self._addresses[host]

    def status(self, host: str, server_name: str, path: str = "/") -> int:
        """The status code that nginx on the host gives to one GET for the server name."""
        return status_of(address=self.address(host), port=80, server_name=server_name, path=path)

    def _container(self, host: str) -> str:
        return f"{self._network}.{host}"

    @property
    def _network(self) -> str:
        return f"lab-{CHECKOUT_ID}.{self.name}"

    @property
    def _control_dir(self) -> Path:
        return CONTROL_DIR / f"{CHECKOUT_ID}-{self.name}"

    def _labels(self) -> dict[str, str]:
        return {LABEL: str(CHECKOUT), f"{LABEL}.fleet": self.name}

    def _prepare(self) -> None:
        """The network, the key and the inventory: what the hosts have in common."""
        self.directory.mkdir(parents=True)
        key = self.directory / "id_ed25519"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self._network, "-f", str(key)])
        labels = [f"--label={name}={value}" for name, value in self._labels().items()]
        podman("network", "create", "--disable-dns", *labels, self._network)
        subnet = json.loads(podman("network", "inspect", self._network).stdout)[0]["subnets"][0]["subnet"]
        self._addresses = addresses_in(subnet, [spec.name for spec in self.hosts])
        hosts = {name: {"ansible_host": address} for name, address in self._addresses.items()}
        self.inventory_path.write_text(render(hosts, ssh_variables(key=key, control_dir=self._control_dir)))

    def _create(self, spec: HostSpec) -> None:
        labels = {
            **self._labels(),
            f"{LABEL}.host": spec.name,
            f"{LABEL}.roles": "+".join(spec.roles),
            f"{LABEL}.image": spec.image,
            f"{LABEL}.address": self.address(spec.name),
        }
        arguments = create_arguments(
            spec=spec,
            container=self._container(spec.name),
            network=self._network,
            labels=labels,
            addresses=self._addresses,
            cgroup=cgroup_layout(),
            max_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        )
        podman(*arguments)

    def _lay_roles_over(self) -> None:
        # Through a mount: `podman cp` takes seconds per host when ten of them run at the same time.
        public_key = (self.directory / "id_ed25519.pub").read_bytes()
        containers = [self._container(spec.name) for spec in self.hosts]
        for spec, container in zip(self.hosts, containers):
            root = podman("mount", container).stdout.strip()
            lay_over(Path(root), host_entries(spec, public_key))
        podman("umount", *containers)

    def _start(self, spec: HostSpec) -> None:
        podman(*runtime_arguments(cgroup_layout()), "start", self._container(spec.name))
        self._await_boot(spec.name)
        for script in (ROLES_DIR / role / "setup.sh" for role in spec.roles):
            if script.exists():
                self.run(spec.name, ["sh", "-s"], stdin=script.read_bytes())

    def _await_boot(self, host: str) -> None:
        """Until sshd answers and systemd has started all it was asked to, well or badly."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not _ssh_answers(self.address(host)):
            self._check_deadline(host, deadline, "sshd does not answer")
            time.sleep(0.1)
        while self.run(host, ["systemctl", "is-system-running", "--wait"], check=False).stdout.strip() not in (
            "running",
            "degraded",
        ):
            self._check_deadline(host, deadline, "systemd is not up")
            time.sleep(0.1)

    def _check_deadline(self, host: str, deadline: float, symptom: str) -> None:
        if time.monotonic() > deadline:
            state = self.run(host, "systemctl --no-pager list-jobs; systemctl --no-pager --failed", check=False)
            log = podman("logs", "--tail=20", self._container(host), check=False)
            words = "\n".join(part.strip() for part in (state.stdout, state.stderr, log.stdout, log.stderr))
            raise LabError(f"{host}: {symptom} after {BOOT_SECONDS} s\n{words.strip()}")

    def _close_connections(self) -> None:
        """Ansible keeps SSH connections open for a while; they end with the fleet."""
        for path in self._control_dir.glob("*"):
            run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"], check=False)
        shutil.rmtree(self._control_dir, ignore_errors=True)


def raise_limit(path: Path, wanted: int) -> None:
    """Raise a limit of the kernel until the machine's next boot, if it is lower; where that is not allowed, say so."""
    try:
        if int(path.read_text()) < wanted:
            path.write_text(f"{wanted}\n")
            say(f"lab: {path} is now {wanted}, so that many hosts can boot")
    except OSError as error:
        say(f"lab: {path} stays as it is ({error.strerror}); more than a dozen hosts may not boot")


def _ssh_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _containers() -> list[dict[str, str]]:
    """The labels of every container of this checkout, running or not."""
    listed = podman("ps", "--all", f"--filter=label={LABEL}={CHECKOUT}", "--format=json")
    containers: list[dict[str, Any]] = json.loads(listed.stdout) or []
    return [container["Labels"] for container in containers]


def _spec_of(labels: dict[str, str]) -> HostSpec:
    roles = tuple(labels[f"{LABEL}.roles"].split("+"))
    return HostSpec(labels[f"{LABEL}.host"], roles=roles, image=labels[f"{LABEL}.image"])


def running_hosts() -> dict[str, list[HostSpec]]:
    """Every fleet of this checkout that has a container, with its hosts."""
    fleets: dict[str, list[HostSpec]] = {}
    for labels in _containers():
        fleets.setdefault(labels[f"{LABEL}.fleet"], []).append(_spec_of(labels))
    return fleets


def traces() -> list[str]:
    """Names of all fleets of this checkout that left anything: a container, a network or a state directory."""
    filters = [f"--filter=label={LABEL}={CHECKOUT}", "--format=json"]
    networks: list[dict[str, Any]] = json.loads(podman("network", "ls", *filters).stdout) or []
    names = {network["labels"][f"{LABEL}.fleet"] for network in networks}
    return sorted(names | set(running_hosts()) | {path.name for path in FLEETS_DIR.glob("*")})
