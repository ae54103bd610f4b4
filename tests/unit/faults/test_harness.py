# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How faults share the lab."""

from __future__ import annotations

from faults._harness import batched, spec_of
from faults._model import Fault, Part, host


def fault(id_: str, hosts: int) -> Fault:
    return Fault(id_, "", {f"h{number}": host() for number in range(hosts)})


def test_a_batch_has_as_many_hosts_as_may_be_up() -> None:
    batches = batched([fault("a", 2), fault("b", 1), fault("c", 1), fault("d", 3)], hosts=3)

    assert [[each.id for each in batch] for batch in batches] == [["a", "b"], ["c"], ["d"]]


def test_a_fault_with_more_hosts_than_a_batch_is_a_batch_of_its_own() -> None:
    batches = batched([fault("a", 1), fault("b", 5), fault("c", 1)], hosts=3)

    assert [[each.id for each in batch] for batch in batches] == [["a"], ["b"], ["c"]]


def test_what_the_lab_is_told() -> None:
    web = host(Part(("nginx",), {"/etc/a.conf": "to @app@"}, ("shop.service",)), memory="256m")
    spec = spec_of(Fault("stopped", "", {"web": web, "app": host()}), "web", web)

    assert (spec.name, spec.roles, spec.enabled, spec.memory) == ("stopped-web", ("nginx",), ("shop.service",), "256m")
    assert [(entry.path, entry.content) for entry in spec.files] == [("etc/a.conf", b"to stopped-app")]
