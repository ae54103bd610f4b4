# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from . import _doctor, _images
from ._commands import LabError, say
from ._declared import REQUESTS, declared_fleet, open_fleet
from ._embedded import DIRECTORY, EmbeddedFleet
from ._fleet import Fleet, HostSpec, role_names, running_hosts, traces


def parse_host(text: str) -> HostSpec:
    """NAME[=ROLE[+ROLE...]][@IMAGE]"""
    rest, _at, image = text.partition("@")
    name, _equals, roles = rest.partition("=")
    return HostSpec(name, roles=tuple(roles.split("+")) if roles else ("plain",), image=image or "debian12")


def _doctor_command(arguments: argparse.Namespace) -> int:
    problems = _doctor.judge(_doctor.gather_facts())
    packages = _doctor.packages_of(problems)
    if arguments.install and packages and os.geteuid() == 0:
        say(f"lab: installing {' '.join(packages)}")
        _doctor.install(packages)
        problems = _doctor.judge(_doctor.gather_facts())
    for line in _doctor.advice(problems):
        print(f"lab: {line}")
    return 1 if problems else _probe(build=arguments.install)


def _probe(*, build: bool) -> int:
    """What the facts promise is tried, if there is an image already or one may be built for it."""
    if build:
        _images.build("debian12")
    built = [image for image in _images.SUITES if _images.exists(image)]
    if not built:
        print("lab: this machine has what systemd containers need; no image is built yet, so none was tried")
        return 0
    with Fleet(f"doctor{os.getpid()}", [HostSpec("probe", image=built[0])]):  # several may ask at once
        print(f"lab: systemd containers run here (tried with {built[0]})")
    return 0


def _build_command(arguments: argparse.Namespace) -> int:
    for image in arguments.images or _images.SUITES:
        _images.build(image)
        print(_images.tag_of(image))
    return 0


def _up_command(arguments: argparse.Namespace) -> int:
    fleet: Fleet | EmbeddedFleet
    fleet = Fleet(arguments.fleet, arguments.hosts) if arguments.hosts else declared_fleet(arguments.fleet)
    started = time.monotonic()
    fleet.up()
    say(f"lab: fleet {fleet.name} is up after {time.monotonic() - started:.1f} s; inventory: {fleet.inventory_path}")
    return 0


def _down_command(arguments: argparse.Namespace) -> int:
    if arguments.all:
        EmbeddedFleet().down()
        # Without root there are no containers of ours to look for.
        for name in traces() if os.geteuid() == 0 else []:
            Fleet(name).down()
    elif arguments.fleet == EmbeddedFleet.name:
        EmbeddedFleet().down()
    else:
        Fleet(arguments.fleet).down()
    return 0


def _inventory_command(arguments: argparse.Namespace) -> int:
    print(open_fleet(arguments.fleet).inventory_path.read_text(), end="")
    return 0


def _requests_command(arguments: argparse.Namespace) -> int:
    if arguments.fleet not in REQUESTS:
        raise LabError(f"no requests are declared for {arguments.fleet}, only for: {', '.join(REQUESTS)}")
    fleet = open_fleet(arguments.fleet)
    for request in REQUESTS[arguments.fleet]:
        status = fleet.status(request.host, request.server_name)
        print(f"{request.host:<6} http://{request.server_name}/  {status}")
    return 0


def _exec_command(arguments: argparse.Namespace) -> int:
    fleet = Fleet.attach(arguments.fleet)
    fleet.address(arguments.host)  # says so when there is no such host
    return subprocess.run(["podman", *fleet.exec_arguments(arguments.host, arguments.argv)], check=False).returncode


def _list_command(arguments: argparse.Namespace) -> int:
    for name, hosts in sorted(running_hosts().items()) if os.geteuid() == 0 else []:
        for spec in sorted(hosts, key=lambda spec: spec.name):
            print(f"{name:<12} {spec.name:<12} {spec.image:<10} {'+'.join(spec.roles)}")
    if DIRECTORY.exists():
        print(EmbeddedFleet.name)
    return 0


def _clean_command(arguments: argparse.Namespace) -> int:
    _images.remove_all()
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lab", description="Real systemd hosts in containers.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function)
        return added

    doctor = command("doctor", _doctor_command, "say whether systemd containers can run here, and what is missing")
    doctor.add_argument(
        "--install", action="store_true", help="install what is missing (as root), build an image and try it"
    )
    build = command("build", _build_command, "build the images that are not built yet")
    build.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(_images.SUITES)}; default: all")
    up = command("up", _up_command, "bring a fleet up; one of that name is replaced")
    hosts_help = f"NAME[=ROLE[+ROLE...]][@IMAGE]; roles: {', '.join(role_names())}"
    up.add_argument("hosts", nargs="*", type=parse_host, metavar="HOST", help=hosts_help)
    up.add_argument("--fleet", required=True, help=f"its name; without hosts one of: {', '.join(REQUESTS)}")
    down = command("down", _down_command, "remove a fleet and all its traces; images stay")
    which = down.add_mutually_exclusive_group(required=True)
    which.add_argument("--fleet")
    which.add_argument("--all", action="store_true", help="every fleet of this checkout")
    command("inventory", _inventory_command, "print a fleet's Ansible inventory").add_argument("--fleet", required=True)
    requests = command("requests", _requests_command, "make the requests of a declared fleet, print their status codes")
    requests.add_argument("--fleet", required=True)
    execute = command("exec", _exec_command, "run a command on a host: exec --fleet FLEET HOST -- COMMAND...")
    execute.add_argument("--fleet", required=True)
    execute.add_argument("host")
    execute.add_argument("argv", nargs="+", metavar="COMMAND")
    command("list", _list_command, "list what is up")
    command("clean", _clean_command, "remove the images")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    try:
        arguments = parser().parse_args(argv)
        result: int = arguments.function(arguments)
    except LabError as error:
        say(f"lab: {error}")
        return 1
    return result


if __name__ == "__main__":
    sys.exit(main())
