# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings as a table for a terminal of 100 columns."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._causes import TITLES
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import AffectedRoute, Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._text import how_to_fix, number, plain, verdict

_WIDTH = 100
_SEVERITY, _HOST = 12, 20  # the first as wide as "intermittent", the second at most
_GAP = "  "
_ROUTES_SHOWN = 3


def table(diagnosis: Diagnosis) -> str:
    """All findings, most severe first, and the verdict below them."""
    if not diagnosis.findings:
        return verdict(diagnosis)
    widths = _widths(diagnosis.findings)
    rule = _GAP.join("-" * width for width in widths)
    rows = [_row(_cells(finding), widths) for finding in diagnosis.findings]
    head = _row([["SEVERITY"], ["HOST"], ["FINDING"], ["FIX"]], widths)
    return "\n".join([head, rule, "\n\n".join(rows), rule, verdict(diagnosis)])


def _widths(findings: Sequence[Finding]) -> list[int]:
    host = min(_HOST, max(len("HOST"), *(len(plain(finding.host)) for finding in findings)))
    rest = _WIDTH - _SEVERITY - host - 3 * len(_GAP)
    return [_SEVERITY, host, rest - rest // 2, rest // 2]


def _cells(finding: Finding) -> list[list[str]]:
    """Each cell as its paragraphs."""
    # What is about no single endpoint is shown by its evidence: the file and line that nginx refuses, for example.
    about = (
        [finding.endpoint] if finding.endpoint else [f"{each.text} ({each.source})" for each in finding.evidence[:1]]
    )
    what = [TITLES[finding.cause], finding.cause, *about, *_routes(finding.routes)]
    return [[finding.severity], [finding.host], what, _fix(finding)]


def _routes(routes: Sequence[AffectedRoute]) -> list[str]:
    shown = [f"{' '.join(route.server_names)} {route.location}" for route in routes[:_ROUTES_SHOWN]]
    more = len(routes) - len(shown)
    return shown + ([f"and {number(more, 'more route')}"] if more else [])


def _fix(finding: Finding) -> list[str]:
    if finding.fix is None:
        return [how_to_fix(finding)]
    return [f"{how_to_fix(finding)}: {finding.fix.summary}", *(f"- {each}" for each in finding.fix.candidates)]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    columns = [
        [line for paragraph in cell for line in textwrap.wrap(plain(paragraph), width, break_on_hyphens=False)]
        for cell, width in zip(cells, widths)
    ]
    lines = zip_longest(*columns, fillvalue="")
    return "\n".join(_GAP.join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)
