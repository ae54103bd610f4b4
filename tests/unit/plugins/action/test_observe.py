# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module's result says about looking at a host. Results as ansible-core 2.21 returns them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.action.observe import opened, record_of
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import seen

NO_JSON = "Module result deserialization failed: No start of json char found"
REMEDY = "; set ansible_python_interpreter to a Python 3.8 or later of this host"
PY36 = '  File "/tmp/AnsiballZ_observe.py", line 3\n    ^\nSyntaxError: future feature annotations is not defined\n'

FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "too old": (
        {"failed": True, "msg": NO_JSON, "module_stdout": "", "module_stderr": PY36, "rc": 1},
        f"/opt/python cannot run the module (SyntaxError: future feature annotations is not defined){REMEDY}",
    ),
    "not there": (
        {"failed": True, "msg": "not found", "module_stdout": "", "module_stderr": "sh: /opt/python: not found\n"},
        f"/opt/python cannot run the module (sh: /opt/python: not found){REMEDY}",
    ),
    "silent": (
        {"failed": True, "msg": NO_JSON, "module_stdout": "", "module_stderr": "\n", "rc": 1},
        f"/opt/python cannot run the module ({NO_JSON}){REMEDY}",
    ),
    "the module's own words": ({"failed": True, "msg": "no such\nfile"}, "no such file"),
    "nothing": ({}, "the module returned nothing"),
}


@pytest.mark.parametrize(("result", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_a_host_that_could_not_be_looked_at_has_one_line_of_reason(result: dict[str, Any], reason: str) -> None:
    record = record_of("web1", result, interpreter="#!/opt/python")
    assert (record.host, record.status, record.reason, record.observation) == ("web1", "failed", reason, None)


def test_an_observation_is_kept() -> None:
    observation = seen("web1").observation
    record = record_of("web1", {"changed": False, "observation": observation}, interpreter="")
    assert (record.status, record.reason, record.observation) == ("ok", "", observation)


def test_an_observation_comes_as_a_text_and_an_error_without_one() -> None:
    assert opened({"changed": False, "observation": '{"schema": 1}'}) == {
        "changed": False,
        "observation": {"schema": 1},
    }
    assert opened({"failed": True, "msg": "no such file"}) == {"failed": True, "msg": "no such file"}
