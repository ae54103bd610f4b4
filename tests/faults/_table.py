# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table that `make faults` prints. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ._judge import Verdict

NOTHING = "(nothing)"


def table(verdicts: Sequence[Verdict]) -> str:
    """One line for each fault, what is wrong below it, then the confusion between causes.

    What did not pass comes last: of a long output the end is what is read.
    """
    rows = [line for verdict in sorted(verdicts, key=lambda each: not each.passed) for line in _rows(verdict)]
    return "\n".join([_row("fault", "expected first", "named first", "seconds"), *rows, "", *_confusion(verdicts)])


def summary(verdicts: Sequence[Verdict]) -> str:
    """The sums in one line."""
    faults = [each for each in verdicts if each.fault.first and not each.fault.must_fail]
    healthy = [each for each in verdicts if not each.fault.first and not each.fault.must_fail]
    proofs = [each for each in verdicts if each.fault.must_fail]
    return (
        f"{sum(each.named for each in faults)} of {len(faults)} faults named first "
        f"({sum(each.fault.origin == 'written' for each in faults)} of them from written observations), "
        f"{sum(each.passed for each in healthy)} of {len(healthy)} healthy fleets left in peace, "
        f"{sum(each.false_findings for each in verdicts if not each.fault.must_fail)} false findings, "
        f"{sum(each.passed for each in proofs)} of {len(proofs)} proofs of the harness; "
        f"{sum(each.passed for each in verdicts)} of {len(verdicts)} passed"
    )


def _rows(verdict: Verdict) -> list[str]:
    fault = verdict.fault
    expected = " + ".join(f"{each.cause} on {each.host}" for each in fault.first) or "no finding"
    if fault.origin == "written":
        expected += " (from a written observation)"
    answer = "yes" if verdict.named else "no"
    if fault.must_fail:
        answer += ", as it must be" if verdict.passed else ", which it must not be"
    first = _row(
        fault.id, expected, answer if verdict.passed or not verdict.named else "yes, but", f"{verdict.seconds:.1f}"
    )
    return [first, *(f"    {each}" for each in (*verdict.troubles, *verdict.complaints) if not verdict.passed)]


def _row(*cells: str) -> str:
    return f"{cells[0]:27}{cells[1]:62}{cells[2]:18}{cells[3]:>8}".rstrip()


def _confusion(verdicts: Sequence[Verdict]) -> list[str]:
    """Which cause came first in place of which. A fault with two causes that was named right confuses nothing."""
    pairs = Counter(
        (verdict.fault.first[0].cause if verdict.fault.first else NOTHING, verdict.got or NOTHING)
        for verdict in verdicts
        if not verdict.named and not verdict.fault.must_fail
    )
    if not pairs:
        return ["no cause was taken for another"]
    lines = [f"{count:3} x {expected} taken for {got}" for (expected, got), count in sorted(pairs.items())]
    return ["confusion between causes:", *lines]
