# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _unit_files
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import Override

TEXTS: dict[str, Any] = {
    "one setting": ({"Service": {"Restart": "always"}}, "\n[Service]\nRestart=always\n"),
    "a list is one line each, an empty first one resets": (
        {"Service": {"ExecStart": ["", "/usr/bin/app --port 80"]}},
        "\n[Service]\nExecStart=\nExecStart=/usr/bin/app --port 80\n",
    ),
    "the given order stays": (
        {"Unit": {"Wants": "b.service", "After": "b.service"}, "Service": {"RestartSec": "2s"}},
        "\n[Unit]\nWants=b.service\nAfter=b.service\n\n[Service]\nRestartSec=2s\n",
    ),
    "what YAML makes of words": (
        {"Service": {"PrivateTmp": True, "RestartSec": 2, "SendSIGKILL": False}},
        "\n[Service]\nPrivateTmp=yes\nRestartSec=2\nSendSIGKILL=no\n",
    ),
}


@pytest.mark.parametrize(("sections", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_text_of_a_drop_in(sections: Any, text: str) -> None:
    rendered = _unit_files.render(_unit_files.typed_sections(sections))
    assert rendered == _unit_files.HEADER + text


NO_SECTIONS = {
    "not sections": ("Restart=always", "expected sections"),
    "not settings": ({"Service": "Restart=always"}, r"\[Service\]: expected settings"),
    "nothing": ({"Service": {"Restart": None}}, r"\[Service\] Restart: expected a string"),
    "nested": ({"Service": {"Restart": [["always"]]}}, r"\[Service\] Restart: expected a string"),
}


@pytest.mark.parametrize(("sections", "message"), NO_SECTIONS.values(), ids=NO_SECTIONS.keys())
def test_what_cannot_be_sections_is_named(sections: Any, message: str) -> None:
    with pytest.raises(SystemdError, match=message):
        _unit_files.typed_sections(sections)


HOSTILE = {
    "a path": (Override("../../cron.d/x.service", "a", {}), "no unit's full name"),
    "no suffix": (Override("nginx", "a", {}), "with its suffix"),
    "an option": (Override("--now.service --root=/", "a", {}), "no unit's full name"),
    "a name that leaves": (Override("a.service", "../x", {}), "cannot name a drop-in"),
    "a second line": (Override("a.service", "a", {"Service": {"Restart": "no\nExecStart=/bin/sh"}}), "spans lines"),
    "the next line": (Override("a.service", "a", {"Service": {"Restart": "no\\"}}), "ends in a backslash"),
    "a template": (Override("a@.service", "a", {}), "name one of its instances"),
    "a second section": (Override("a.service", "a", {"Service]\n[Unit": {"A": "b"}}), "plain words"),
    "a setting with a value": (Override("a.service", "a", {"Service": {"A=b\nC": "d"}}), "plain words"),
}


@pytest.mark.parametrize(("override", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_and_values_are_refused(override: Override, message: str) -> None:
    with pytest.raises(SystemdError, match=message):
        _unit_files.validate_names(override)


COMMANDS: dict[str, Any] = {
    "a new command takes the old one's place": ({"ExecStart": "/bin/a"}, "simple", ["", "/bin/a"]),
    "reset already": ({"ExecStart": ["", "/bin/a"]}, "simple", ["", "/bin/a"]),
    "reset only": ({"ExecStart": ""}, "simple", ""),
    "oneshot may have several": ({"ExecStart": "/bin/a"}, "oneshot", "/bin/a"),
    "becomes oneshot": ({"ExecStart": "/bin/a", "Type": "oneshot"}, "simple", "/bin/a"),
    "none": ({"Restart": "no"}, "simple", None),
}


@pytest.mark.parametrize(("service", "type", "command"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_takes_the_place_of_the_units_own(service: Any, type: str, command: Any) -> None:
    reset = _unit_files.with_reset({"Service": service}, type=type)
    assert reset == {"Service": {**service, **({} if command is None else {"ExecStart": command})}}


def test_it_has_a_place_of_its_own_that_wins() -> None:
    path = Override("shop.service", "supervision", {}).path
    assert str(path) == "/etc/systemd/system/shop.service.d/zz-bad-gateway-supervision.conf"
    assert path.name > "override.conf"  # of `systemctl edit`
