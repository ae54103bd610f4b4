# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table at the end."""

from __future__ import annotations

from dataclasses import replace

from faults._judge import Verdict
from faults._model import Fault, Named
from faults._table import summary, table

FAULT = Fault("stopped", "the app is stopped", first=(Named("app_not_running"),))
NAMED = Verdict(FAULT, named=True, got="app_not_running", troubles=(), complaints=(), false_findings=0, seconds=1.25)
MISSED = replace(NAMED, named=False, got="worker_crash", complaints=("not named first",), false_findings=1)
HEALTHY = Verdict(Fault("well", "well"), named=True, got="", troubles=(), complaints=(), false_findings=0, seconds=0)
ALARM = replace(HEALTHY, named=False, got="worker_crash", complaints=("must not be said",), false_findings=1)
PROOF = replace(MISSED, fault=replace(FAULT, id="proof", must_fail=True))


def test_a_fault_that_was_named() -> None:
    first = table([NAMED]).splitlines()[1]

    assert first.split() == ["stopped", "app_not_running", "on", "web", "yes", "1.2"]


def test_a_miss_says_what_is_wrong_and_what_it_was_taken_for() -> None:
    text = table([NAMED, MISSED, ALARM])

    assert "    not named first" in text
    assert "  1 x app_not_running taken for worker_crash" in text
    assert "  1 x (nothing) taken for worker_crash" in text


def test_what_did_not_pass_comes_last() -> None:
    rows = table([MISSED, NAMED, HEALTHY]).splitlines()[1:5]

    assert [row.split()[0] for row in rows] == ["stopped", "well", "stopped", "not"]


def test_nothing_confused() -> None:
    assert "no cause was taken for another" in table([NAMED, HEALTHY, PROOF])


def test_a_proof_that_failed_as_it_must_is_no_miss() -> None:
    assert "no, as it must be" in table([PROOF])


def test_sums() -> None:
    assert summary([NAMED, MISSED, HEALTHY, ALARM, PROOF]) == (
        "1 of 2 faults named first (0 of them from written observations), 1 of 2 healthy fleets left in peace, "
        "2 false findings, 1 of 1 proofs of the harness; 3 of 5 passed"
    )
