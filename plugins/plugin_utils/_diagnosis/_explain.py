# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a rule says what it found: all findings about failures are put together alike."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import failures_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    affected,
    surest,
    worst,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    Confidence,
    Evidence,
    Finding,
    Fix,
)


def explain(
    fleet: Fleet,
    cause: str,
    explained: Sequence[Failure],
    *,
    host: str,
    evidence: Iterable[Evidence],
    subject: str = "",
    confidence: Confidence | None = None,
    fix: Fix | None = None,
    app: tuple[str, str] | None = None,
) -> Explanation:
    """A finding on `host` about failures of one cause. It is about the first endpoint where `subject` names nothing.

    What shows the cause comes before what shows the failures. It is as sure as they are, unless `confidence` says less.
    """
    key = explained[0].endpoint["key"]
    finding = Finding(
        cause=cause,
        host=host,
        subject=subject or key,
        severity=worst(explained),
        confidence=confidence or surest(explained),
        routes=affected(use for failure in explained for use in failure.uses),
        endpoint=key,
        evidence=(*dict.fromkeys(evidence), *failures_evidence(fleet, explained)),
        fix=fix,
    )
    return Explanation(finding, tuple(explained), app=app)
