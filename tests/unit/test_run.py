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
