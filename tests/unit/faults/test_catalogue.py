# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalogue as a whole promises."""

from __future__ import annotations

import pytest
from faults._catalogue import FAULTS
from faults._harness import spec_of
from faults._model import Fault

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._causes import TITLES

BROKEN = [fault for fault in FAULTS if fault.first and not fault.must_fail]
HEALTHY = [fault for fault in FAULTS if not fault.first and not fault.must_fail]

#: What is said when no cause of the catalogue fits.
NO_FAULT_OF_ITS_OWN = {"endpoint_not_answering"}


def test_every_cause_has_a_fault() -> None:
    named = {each.cause for fault in BROKEN for each in fault.first}

    assert set(TITLES) - named == NO_FAULT_OF_ITS_OWN
    assert named <= set(TITLES)


def test_it_is_large_enough() -> None:
    assert len({named.cause for fault in BROKEN for named in fault.first}) >= 45
    assert len([fault for fault in HEALTHY if not fault.broken]) >= 12


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_an_entry_is_whole(fault: Fault) -> None:
    steps = (*fault.broken, *fault.driven)
    assert {step.host for step in steps} <= set(fault.hosts)
    assert {named.host for named in fault.first} <= set(fault.hosts)
    assert not {named.cause for named in fault.first} & {*fault.never, *fault.also}
    if fault.origin == "lab":  # the lab refuses what it does not know
        assert [spec_of(fault, name, each).name for name, each in fault.hosts.items()]


def test_some_entries_must_fail() -> None:
    assert any(fault.must_fail and fault.first for fault in FAULTS)
    assert any(fault.must_fail and not fault.first for fault in FAULTS)
