# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run is a program, not a part of the collection

import run


@pytest.mark.parametrize(
    ("lanes", "result"),
    [
        (("success", "success"), "success"),
        (("success", "skipped"), "skipped"),
        (("success", "failed"), "failed"),
        (("skipped", "failed"), "failed"),
        (("success", "aborted"), "aborted"),
    ],
)
def test_a_gate_of_both_lanes_is_as_good_as_the_worse(lanes: tuple[str, str], result: str) -> None:
    for order in itertools.permutations(lanes):
        gates = [{"name": "molecule", "result": one} for one in order]
        assert run._together([{"name": "lint", "result": "success"}, *gates]) == {"lint": "success", "molecule": result}


PRINTED = """\
nox > Running session unit
a test's own words
nox > Session unit was successful in 5 minutes.
nox > Running session faults
named first: no
170 of 171 passed
nox > Session faults failed: Command python tests/faults failed with exit code 1 (took 8 minutes)
nox > Running session molecule
nox > Session molecule was successful in 2 minutes.
"""


def test_of_a_failed_gate_the_last_words_are_repeated_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run._close({"unit": "success", "faults": "failed", "molecule": "success"}, ["", PRINTED]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "FAILED   faults",
        "    named first: no",
        "    170 of 171 passed",
        "    nox > Session faults failed: Command python tests/faults failed with exit code 1 (took 8 minutes)",
        "2 passed, 1 failed, 0 skipped",
    ]


def test_no_more_than_the_last_words_are_repeated() -> None:
    printed = "\n".join(
        ["nox > Running session lint", *(f"line {number}" for number in range(99)), "nox > Session lint failed"]
    )

    assert run._last_words(printed, "lint") == [
        *(f"line {number}" for number in range(100 - run.LAST_WORDS, 99)),
        "nox > Session lint failed",
    ]
