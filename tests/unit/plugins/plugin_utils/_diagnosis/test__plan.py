# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans from findings."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _plan
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._plan import Choice, ChoiceError, plans


def finding(host: str, role: str, variables: dict[str, Any], *, automatic: bool = True) -> Finding:
    fix = Fix(role=role, automatic=automatic, summary="", variables=variables)
    return Finding("app_not_running", host, "x", "outage", "certain", (), None, (), fix)


def supervised(host: str, name: str, *listens: str, **more: Any) -> Finding:
    return finding(host, "supervision", {"supervision_units": [{"unit": name, "listens": list(listens), **more}]})


def test_fixes_of_a_host_are_merged_by_role_and_unit() -> None:
    merged = plans([supervised("a", "y", "1"), supervised("a", "x", "3", "2"), supervised("a", "x", "2", "1")])
    assert merged == {
        "a": {
            "supervision": {
                "supervision_units": [{"unit": "x", "listens": ["1", "2", "3"]}, {"unit": "y", "listens": ["1"]}]
            }
        }
    }


def test_the_app_side_comes_before_the_nginx_side() -> None:
    routes = finding(
        "a", "proxy_pass", {"proxy_pass_routes": [{"file": "f", "line": 1, "endpoint": "e", "pass_to": "p"}]}
    )
    assert list(plans([routes, supervised("a", "x")])["a"]) == ["supervision", "proxy_pass"]


def test_one_unit_with_two_nginx_stays_two_entries() -> None:
    merged = plans([supervised("a", "x", nginx_unit="n1"), supervised("a", "x", nginx_unit="n2")])
    assert [each["nginx_unit"] for each in merged["a"]["supervision"]["supervision_units"]] == ["n1", "n2"]


def test_wishes_about_one_upstream_block_are_joined() -> None:
    def wish(**upstream: Any) -> Finding:
        entry = {"file": "f", "line": 2, "upstream": upstream}
        return finding("a", "upstream_keepalive", {"upstream_keepalive_routes": [entry]})

    merged = plans([wish(keepalive_timeout="4s"), wish(zone="shop 64k")])
    (entry,) = merged["a"]["upstream_keepalive"]["upstream_keepalive_routes"]
    assert entry["upstream"] == {"keepalive_timeout": "4s", "zone": "shop 64k"}


def test_hosts_are_in_order_and_only_automatic_fixes_count() -> None:
    undecided = finding("c", "supervision", {"supervision_units": []}, automatic=False)
    without = Finding("app_not_running", "d", "x", "outage", "certain", (), None, (), None)
    assert list(plans([supervised("b", "x"), undecided, without, supervised("a", "x")])) == ["a", "b"]


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(only=("app_not_running",)), True),
        (Choice(only=("wrong_upstream_address",)), False),
        (Choice(skip=("app_not_running",)), False),
        (Choice(confidence="certain"), False),
        (Choice(confidence="likely"), True),
    ],
)
def test_what_is_not_wanted_is_not_planned(choice: Choice, taken: bool) -> None:
    likely = replace(supervised("a", "x"), confidence="likely")
    assert bool(plans([likely], choice)) is taken


def test_a_cause_that_is_none_cannot_be_chosen() -> None:
    with pytest.raises(ChoiceError, match=r"'app_down' is no cause; there are: .*app_not_running"):
        Choice(only=("app_down",))
    with pytest.raises(ChoiceError, match=r"'socket_mising' is no cause; did you mean socket_missing\b"):
        Choice(skip=("socket_mising",))


def test_only_roles_that_exist_are_named_and_remediate_calls_what_is_planned() -> None:
    rules = Path(_plan.__file__).parent
    named = {
        role for path in rules.glob("*.py") for role in re.findall(r'role="(\w+)"', path.read_text(encoding="utf-8"))
    }
    roles = {path.name for path in (rules.parents[2] / "roles").iterdir()}
    mend = (rules.parents[2] / "roles" / "remediate" / "tasks" / "mend.yml").read_text(encoding="utf-8")
    planned = [role for side in _plan.SIDES.values() for role in side]
    assert re.findall(r"name: sre\.bad_gateway\.(\w+)", mend) == planned
    assert named | set(planned) <= roles
    assert named >= {"supervision", "proxy_pass", "upstream_keepalive"}
