# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a diagnosis says what a fault demands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._model import Fault, Named

#: Severities that a healthy fleet must not be given. Advice is welcome everywhere.
ALARMS = ("outage", "intermittent")


@dataclass(frozen=True)
class Verdict:
    """What came of one fault."""

    fault: Fault
    named: bool  # all of `first`, before everything else
    got: str  # the cause that came first; "" when none did
    troubles: tuple[str, ...]  # what went wrong before the diagnosis: then it proves nothing
    complaints: tuple[str, ...]  # what is wrong with the diagnosis
    false_findings: int
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.troubles and (self.named and not self.complaints) != self.fault.must_fail


def judge(
    fault: Fault, findings: Sequence[dict[str, Any]], *, troubles: Sequence[str] = (), seconds: float = 0.0
) -> Verdict:
    """Compare findings, as a report holds them and in its order, with what the fault demands.

    `troubles` are what went wrong before the diagnosis: a step that failed, a status code that did not come.
    """
    head = list(findings[: len(fault.first)])
    unnamed = [wanted for wanted in fault.first if not any(_is(fault, finding, wanted) for finding in head)]
    false = [finding for finding in findings if _is_false(fault, finding)]
    missed = [f"not named first: {_text(fault, wanted)}; came first: {_heads(head)}" for wanted in unnamed]
    return Verdict(
        fault=fault,
        named=not unnamed and not (false and not fault.first),
        got=findings[0]["cause"] if findings and (fault.first or false) else "",
        troubles=tuple(troubles),
        complaints=(*missed, *(f"must not be said: {_line(finding)}" for finding in false)),
        false_findings=len(false),
        seconds=seconds,
    )


def _is(fault: Fault, finding: dict[str, Any], wanted: Named) -> bool:
    names = {name for route in finding["routes"] for name in route["server_names"]}
    return (
        finding["cause"] == wanted.cause
        and finding["host"] == fault.fleet_name(wanted.host)
        and (not wanted.name or wanted.name in names)
        and wanted.severity in ("", finding["severity"])
    )


def _is_false(fault: Fault, finding: dict[str, Any]) -> bool:
    if any(_is(fault, finding, wanted) for wanted in fault.first):
        return False
    alarms = finding["severity"] in ALARMS and finding["cause"] not in fault.also
    return alarms or finding["cause"] in fault.never


def _text(fault: Fault, wanted: Named) -> str:
    return " ".join(filter(None, (wanted.severity, wanted.cause, "on", fault.fleet_name(wanted.host), wanted.name)))


def _heads(findings: Sequence[dict[str, Any]]) -> str:
    return "; ".join(map(_line, findings)) or "nothing"


def _line(finding: dict[str, Any]) -> str:
    names = sorted({name for route in finding["routes"] for name in route["server_names"]})
    return f"{finding['severity']} {finding['cause']} on {finding['host']} ({', '.join(names) or 'no route'})"
