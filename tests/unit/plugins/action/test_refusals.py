# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says when it is given what it cannot work with: one line, and nothing that looks like a crash."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.playbook.task import Task

from ansible_collections.sre.bad_gateway.plugins.action import diagnose, new_run, observe, report, verify
from ansible_collections.sre.bad_gateway.plugins.plugin_utils import _run_directory
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import seen


def action(module: Any, **arguments: Any) -> Any:
    task = Task()
    task.args = arguments
    connection = SimpleNamespace(become=None, has_pipelining=False, _shell=SimpleNamespace(tmpdir="unused"))
    return module.ActionModule(
        task=task, connection=connection, play_context=None, loader=None, templar=None, shared_loader_obj=None
    )


@pytest.mark.parametrize("module", [diagnose, report, verify])
def test_a_directory_without_observations_is_named(module: Any, tmp_path: Path) -> None:
    result = action(module, run_dir=str(tmp_path)).run()
    assert result["failed"] is True
    assert result["msg"].endswith("name a directory that an audit wrote")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = action(new_run, run_dir=str(tmp_path / "file")).run()
    assert result["failed"] is True
    assert result["msg"] == (
        f"{tmp_path}/file: cannot be written (Not a directory); choose another directory with bad_gateway_output_dir"
    )


def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, become: Any, outcome: Any) -> dict[str, Any]:
    def execute(*_arguments: Any, **_options: Any) -> dict[str, Any]:
        if isinstance(outcome, Exception):
            raise outcome
        return dict(outcome)

    looking = action(observe, run_dir=str(tmp_path))
    looking._connection.become = become
    monkeypatch.setattr(looking, "execute_with_crossplane", execute)
    result: dict[str, Any] = looking.run(task_vars={"inventory_hostname": "web1"})
    return result


def test_an_observation_that_cannot_be_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "observations").touch()
    result = looked(tmp_path, monkeypatch, become=None, outcome={"observation": json.dumps(seen("web1").observation)})
    assert result["failed"] is True
    assert "choose another directory with bad_gateway_output_dir" in result["msg"]


@pytest.mark.parametrize(("become", "command"), [(None, "ansible -m"), (object(), "ansible -b -m")])
def test_what_ansible_itself_trips_over_can_be_tried_without_this_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become: Any, command: str
) -> None:
    looked(tmp_path, monkeypatch, become=become, outcome=AnsibleError("Missing sudo password"))
    (record,) = _run_directory.read_records(tmp_path).values()
    assert record.status == "failed"
    assert record.reason == f"Missing sudo password; see to it that `{command} ansible.builtin.ping web1` works"
