# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which findings name a role that changes the number of workers, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._capacity import with_capacity_fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding, Fix
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import app, fleet
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP, site

GUNICORN = {"gunicorn_workers_units": [{"unit": "shop.service"}]}
POOL = {"app_capacity_pools": [{"unit": "shop.service", "endpoint": TCP}]}


def offered(
    cause: str, *, host: str = "web1", endpoint: str = TCP, fix: Fix | None = None, **changes: Any
) -> Fix | None:
    finding = Finding(cause, host, "shop.service", "intermittent", "certain", (), endpoint, (), fix)
    return with_capacity_fix(Fleet(fleet(site(apps=[app(TCP, **changes)]))), finding).fix


@pytest.mark.parametrize(
    ("cause", "kind", "role", "variables"),
    [
        ("app_pool_saturated", "gunicorn", "gunicorn_workers", GUNICORN),
        ("app_pool_saturated", "uwsgi", "app_capacity", POOL),
        ("phpfpm_saturated", "php-fpm", "app_capacity", POOL),
        ("unix_backlog_full", "gunicorn", "gunicorn_workers", GUNICORN),
        ("tcp_backlog_overflow", "uwsgi", "app_capacity", POOL),
        ("worker_oom_killed", "gunicorn", "gunicorn_workers", GUNICORN),
        ("workers_unfit", "gunicorn", "gunicorn_workers", GUNICORN),
    ],
)
def test_the_role_is_named_and_left_to_people(cause: str, kind: str, role: str, variables: dict[str, Any]) -> None:
    fix = offered(cause, kind=kind)
    assert fix is not None
    assert (fix.role, fix.automatic, fix.variables) == (role, False, variables)


@pytest.mark.parametrize(("source", "candidates"), [("default", ()), ("--workers 2", ("replace_chosen: true",))])
def test_a_number_that_somebody_chose_is_for_them_to_give_up(source: str, candidates: tuple[str, ...]) -> None:
    fix = offered("workers_unfit", settings_from={"workers": source})
    assert fix is not None
    assert fix.candidates == candidates
    assert ("replace_chosen" in fix.summary) is bool(candidates)


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("app_slow", {}),
        ("app_pool_saturated", {"kind": "node"}),
        ("worker_oom_killed", {"kind": "uwsgi"}),  # its number is only ever raised
        ("app_pool_saturated", {"unit": None}),
        ("app_pool_saturated", {"host": "web2"}),
        ("app_pool_saturated", {"endpoint": "tcp:127.0.0.1:8001"}),
    ],
)
def test_what_workers_cannot_mend_names_no_role(cause: str, changes: dict[str, Any]) -> None:
    assert offered(cause, **changes) is None


def test_a_fix_that_a_finding_has_stays() -> None:
    own = Fix(role="supervision", automatic=True, summary="Start it", variables={})
    assert offered("app_pool_saturated", fix=own) == own
