# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the diagnosis says: findings with their evidence and the fix that removes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Mapping, get_args

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey, Route

#: In the order in which they matter to whoever is on call.
Severity = Literal["outage", "intermittent", "risk"]
Confidence = Literal["certain", "likely", "possible"]
EvidenceKind = Literal["probe", "socket", "unit", "error_log", "access_log", "journal", "config", "capacity", "network"]


@dataclass(frozen=True)
class AffectedRoute:
    """A route that suffers, or that would."""

    server_names: tuple[str, ...]
    listen: tuple[str, ...]
    location: str
    file: str
    line: int

    @classmethod
    def of(cls, route: Route) -> AffectedRoute:
        return cls(
            server_names=tuple(route["server_names"]),
            listen=tuple(route["listen"]),
            location=route["location"],
            file=route["file"],
            line=route["line"],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "server_names": list(self.server_names),
            "listen": list(self.listen),
            "location": self.location,
            "file": self.file,
            "line": self.line,
        }


@dataclass(frozen=True)
class Evidence:
    """One fact that speaks for a finding, and where it was seen."""

    kind: EvidenceKind
    text: str
    source: str  # "HOST" or "HOST:where on it"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text, "source": self.source}


@dataclass(frozen=True)
class Fix:
    """The role and the variables that remove a finding.

    Not automatic: something is to be decided first. `summary` names the variable that decides, which is then left out
    of `variables`, and `candidates` holds the values it could have.
    """

    role: str
    automatic: bool
    summary: str
    variables: Mapping[str, Any]
    candidates: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "automatic": self.automatic,
            "summary": self.summary,
            "variables": dict(self.variables),
            "candidates": list(self.candidates),
        }


@dataclass(frozen=True)
class Finding:
    """A cause shown on a host: the host where it can be removed."""

    cause: str
    host: str
    subject: str  # what it is about on that host: a unit, an endpoint, a config file
    severity: Severity
    confidence: Confidence
    routes: tuple[AffectedRoute, ...]
    endpoint: EndpointKey | None  # None: it is about no single endpoint
    evidence: tuple[Evidence, ...]
    fix: Fix | None

    @property
    def id(self) -> str:
        """The same finding has the same id in every run."""
        return f"{self.cause}/{self.host}/{self.subject}"

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Sort key: what hurts first, then what is sure, then what touches most."""
        return (
            get_args(Severity).index(self.severity),
            get_args(Confidence).index(self.confidence),
            -len(self.routes),
            self.id,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "cause": self.cause,
            "host": self.host,
            "severity": self.severity,
            "confidence": self.confidence,
            "routes": [route.to_json() for route in self.routes],
            "endpoint": self.endpoint,
            "evidence": [evidence.to_json() for evidence in self.evidence],
            "fix": self.fix.to_json() if self.fix else None,
        }
