# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When it began to fail: what was then as it is now is not what went wrong."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, ErrorLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import minute_before, seconds_ago
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import NOBODY_LINES, Failure
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence

#: So unlikely it has to be that nobody asked for a route that was broken in all the minutes without failures.
_CHANCE = 0.001

#: Ages are of minutes, and on hosts that are looked at one after the other. In seconds.
_TOLERANCE = 120.0


def served_before(fleet: Fleet, failure: Failure, host: str, app: AppServer) -> list[Evidence]:
    """Show that somebody served at that address while `app` ran already, elsewhere.

    Logs do not tell which route a request was for. How often this one is asked for shows in the share of minutes in
    which it has failed since; had it been broken before, it would have failed as often.
    """
    events, settled = _events(fleet, failure), _settled(fleet, failure, host, app)
    if not events or not settled:
        return []
    first = min(event["first"] for event in events)
    failing = {minute for event in events for minute in event["per_minute"]}  # the newest of them
    asked = failing | _asked_minutes(fleet, failure)
    before = [minute for minute in asked if settled < minute < first[:16]]
    since = [minute for minute in asked if minute >= min(failing)]
    if (1 - len(failing) / (len(since) + 1)) ** len(before) > _CHANCE:
        return []
    text = (
        f"it failed first at {first}, in {len(failing)} of {len(since)} minutes with requests since {min(failing)} and"
        f" in none of {len(before)} before the first, in which nginx's configuration and {app['unit'] or app['kind']}"
        " were those of now: the address was right, and what listened there has gone"
    )
    return [Evidence(kind="access_log", text=text, source=failure.host)]


def _events(fleet: Fleet, failure: Failure) -> list[ErrorLogEvent]:
    """How nginx found nobody there; none where older lines of it may not have been read."""
    found = [
        (log, event)
        for log in fleet.observations[failure.host]["error_logs"]
        for event in log["events"]
        if event["signature"] in NOBODY_LINES and failure.uses[0].is_meant_by(event["endpoint"])
    ]
    return [event for _log, event in found] if all(log["whole"] for log, _event in found) else []


def _settled(fleet: Fleet, failure: Failure, host: str, app: AppServer) -> str:
    """The minute from which on nginx's configuration and that app server are what they are; "" when it is not known."""
    instances = [use.instance for use in failure.uses]
    if not all(instance["runs_as_configured"] for instance in instances):
        return ""
    nginx, other = fleet.observations[failure.host], fleet.observations[host]
    ages = [
        *(seconds_ago(nginx, instance["workers_since"]) for instance in instances),
        seconds_ago(other, app["running_since"]),
    ]
    known = [age for age in ages if age is not None]
    return minute_before(nginx, min(known) - _TOLERANCE) if len(known) == len(ages) else ""


def _asked_minutes(fleet: Fleet, failure: Failure) -> set[str]:
    """Minutes in which the sites that the route belongs to were asked for something."""
    paths = {
        setting["destination"]
        for use in failure.uses
        for setting in use.instance["access_logs"]
        if not setting["server_names"] or {*setting["server_names"]} & {*use.route["server_names"]}
    }
    logs = fleet.observations[failure.host]["access_logs"]
    return {minute for log in logs if log["path"] in paths for minute in log["per_minute"]}
