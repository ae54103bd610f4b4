# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an nginx a change has to know."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import (
    Command,
    Instance,
    parse_build,
)


def found(told: str, *, binary: str = "/usr/sbin/nginx") -> Instance:
    return Instance(
        command=Command(binary=binary),
        build=parse_build(told),
        config="/etc/nginx/nginx.conf",
        prefix="/etc/nginx",
        pid=None,
        unit=None,
        credentials=None,
        workers_since=None,
    )


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> list[Instance]:
    """What is found on the host."""
    instances: list[Instance] = []
    for name in ("read_processes", "read_units"):
        monkeypatch.setattr(_instances, name, lambda *_arguments, **_more: None)
    monkeypatch.setattr(_instances, "find_instances", lambda **_more: instances)
    return instances


@pytest.mark.parametrize(
    ("told", "version", "plus"),
    [
        ("nginx version: nginx/1.22.1\n", "1.22.1", False),
        ("nginx version: nginx/1.25.5 (nginx-plus-r32-p1)\n", "1.25.5", True),
        ("nginx version: openresty/1.25.3.1\n", "1.25.3.1", False),
        ("Tengine version: Tengine/3.1.0\nnginx version: nginx/1.24.0\n", "", False),
        ("nginx version: Angie/1.6.0\n", "", False),
        ("", "", False),
    ],
)
def test_which_nginx_it_is(finds: list[Instance], told: str, version: str, plus: bool) -> None:
    finds.append(found(told))
    (nginx,) = _instances.nginx_instances(None)
    assert (nginx.version, nginx.plus) == (version, plus)


def test_without_a_program_there_is_nothing_to_change(finds: list[Instance]) -> None:
    finds.append(found("", binary=""))
    with pytest.raises(RouteError, match="no nginx to change on this host"):
        _instances.nginx_instances(None)
