# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another number of workers, for causes that it can remove. Whether an app may run in more processes, people know."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding, Fix

_POOLS = ("uwsgi", "php-fpm")

#: For each cause, the app servers whose number of workers is one of its reasons.
_BY_WORKERS = {
    "app_pool_saturated": ("gunicorn", *_POOLS),
    "phpfpm_saturated": _POOLS,
    "unix_backlog_full": ("gunicorn", *_POOLS),
    "tcp_backlog_overflow": ("gunicorn", *_POOLS),
    "worker_oom_killed": ("gunicorn",),  # the others' numbers are only ever raised
    "workers_unfit": ("gunicorn",),
}


def with_capacity_fix(fleet: Fleet, finding: Finding) -> Finding:
    """The finding, with the role that gives its app server as many workers as suit; as it is where there is none."""
    app = _app_of(fleet, finding) if finding.fix is None and finding.cause in _BY_WORKERS else None
    if app is None or app["unit"] is None or app["kind"] not in _BY_WORKERS[finding.cause]:
        return finding
    return replace(
        finding, fix=_of_gunicorn(app["unit"], app) if app["kind"] == "gunicorn" else _of_pool(app["unit"], app)
    )


def _app_of(fleet: Fleet, finding: Finding) -> AppServer | None:
    uses = (use for use in fleet.uses if use.endpoint["key"] == finding.endpoint)
    places = (place for use in uses for place in fleet.places(use) if place.host == finding.host)
    return next((app for place in places if (app := fleet.app_behind(place))), None)


def _of_gunicorn(unit: str, app: AppServer) -> Fix:
    chosen = app["settings_from"].get("workers", "default") != "default"
    return Fix(
        role="gunicorn_workers",
        automatic=False,
        summary="Set replace_chosen, or workers, of gunicorn_workers_units: somebody has chosen the present number"
        if chosen
        else "As many workers as suit it, if the app may run in several processes",
        variables={"gunicorn_workers_units": [{"unit": unit}]},
        candidates=("replace_chosen: true",) if chosen else (),
    )


def _of_pool(unit: str, app: AppServer) -> Fix:
    return Fix(
        role="app_capacity",
        automatic=False,
        summary="As many workers and as long a queue as suit it; set app_capacity_activate to restart where the queue"
        " has to become longer at once",
        variables={
            "app_capacity_pools": [{"unit": unit, **({"endpoint": app["listens"][0]} if app["listens"] else {})}]
        },
    )
