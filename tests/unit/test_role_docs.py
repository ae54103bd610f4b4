# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles' pages are what the roles say, and the roles' defaults are what their argument specs say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # role_docs is a program, not a part of the collection

import role_docs  # noqa: E402


@pytest.mark.parametrize("role", role_docs.roles())
def test_the_page_is_current(role: str) -> None:
    assert role_docs.page_path(role).read_text(encoding="utf-8") == role_docs.page(role), "run tests/role_docs.py"


@pytest.mark.parametrize("role", role_docs.roles())
def test_the_page_shows_an_example_of_the_role(role: str) -> None:
    example = role_docs.page(role).split("```yaml\n")[1].split("```")[0]
    assert f"sre.bad_gateway.{role}" in example
    assert all({"hosts", "name"} <= set(play) for play in yaml.safe_load(example))


@pytest.mark.parametrize("role", role_docs.roles())
def test_every_default_is_documented_and_every_documented_default_is_there(role: str) -> None:
    here = ROOT / "roles" / role
    options = yaml.safe_load((here / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((here / "defaults" / "main.yml").read_text())
    documented = {name: option["default"] for name, option in options.items() if not option.get("required")}
    assert set(defaults) == set(documented)
    plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert plain == {name: documented[name] for name in plain}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("V(always) and C(Restart=)", "`always` and `Restart=`"),
        (
            r"a location, V(~ \\.php$\)) or M(sre.bad_gateway.observe)",
            r"a location, `~ \.php$)` or `sre.bad_gateway.observe`",
        ),
        ("O(routes[].line) makes\n  RV(validated)", "`routes[].line` makes `validated`"),
        ("a CV(x) stays", "a CV(x) stays"),
    ],
)
def test_markup_of_ansible_becomes_markdown(text: str, shown: str) -> None:
    assert role_docs.markdown(text) == shown
