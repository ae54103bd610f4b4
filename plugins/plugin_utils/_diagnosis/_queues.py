# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queues of connections that wait for an app server to accept them."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence


def is_full(listener: Listener) -> bool:
    """The kernel lets one more wait than the backlog says, and the newest may not have come through yet."""
    queued, backlog = listener["queued"], listener["backlog"]
    return queued is not None and backlog is not None and queued >= backlog > 0


def queue_evidence(fleet: Fleet, place: Place) -> list[Evidence]:
    """How many wait at that place, and how many may."""
    most = fleet.observations[place.host]["network"]["sysctls"].get("net.core.somaxconn")
    capped = f" (net.core.somaxconn is {most})" if most else ""
    return [
        Evidence(
            kind="socket",
            text=f"{each['queued']} connections wait there to be accepted, {each['backlog']} may{capped}",
            source=place.host,
        )
        for each in fleet.listeners(place)
        if each["queued"] is not None and each["backlog"] is not None
    ]
