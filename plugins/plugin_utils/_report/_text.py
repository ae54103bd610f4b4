# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words that all reports share. What comes from hosts is data: it never steers a terminal or a renderer."""

from __future__ import annotations

import re
from collections import Counter

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding

_NOUNS = {"outage": "outage", "intermittent": "intermittent fault", "risk": "risk"}
# An underscore inside a word marks nothing up, and names are full of them.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|#~&!@$]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """One line of printable characters."""
    return " ".join("".join(_printable(each) for each in text).split())


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no links, no HTML, no new table cell."""
    escaped = _MARKDOWN.sub(lambda match: "\\" + match.group(), plain(text))
    return escaped.replace("://", "\\://").replace("www.", "www\\.")


def code(text: str) -> str:
    """A code span, however many backticks are in it. Not for table cells: there a pipe ends it."""
    shown = plain(text) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{space}{shown}{space}{fence}"


def verdict(diagnosis: Diagnosis) -> str:
    """The one line that says how it stands."""
    looked_at = [name for name, host in diagnosis.hosts.items() if host["status"] == "ok"]
    said = _counts(diagnosis) if diagnosis.findings else f"no findings on {number(len(looked_at), 'host')}"
    unseen = [name for name in diagnosis.hosts if name not in looked_at]
    return said + (f"; {number(len(unseen), 'host')} could not be looked at: {', '.join(unseen)}" if unseen else "")


def number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def how_to_fix(finding: Finding) -> str:
    """Who removes a finding."""
    if finding.fix is None:
        return "by hand"
    return "automatic" if finding.fix.automatic else "to decide"


def _counts(diagnosis: Diagnosis) -> str:
    counts = Counter(_NOUNS[finding.severity] for finding in diagnosis.findings)
    said = ", ".join(number(counts[noun], noun) for noun in _NOUNS.values() if counts[noun])
    hosts = {finding.host for finding in diagnosis.findings}
    return f"{said} on {len(hosts)} of {number(len(diagnosis.hosts), 'host')}"
