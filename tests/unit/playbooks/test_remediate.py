# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A remediation that goes wrong on one host: the others are mended, and the report tells all. Modules are played."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

from ansible_collections.sre.bad_gateway.tests.unit.playbooks.conftest import Play
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
)

WRONG, RIGHT = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8000"
Player = Callable[..., dict[str, object]]
Answer = dict[str, Any]

#: Stands for the host's Python: answers each module what it was told to, one answer after the other.
INTERPRETER = r"""#!{python}
import pathlib, re, sys
program = pathlib.Path(sys.argv[1]).read_text() if sys.argv[1:] else sys.stdin.read()
module = re.search(r"sre\.bad_gateway\.plugins\.modules\.(\w+)", program)[1]
answer = sorted(pathlib.Path("{directory}").glob(module + ".*.json"))[0]
print(answer.read_text())
answer.unlink()
"""

#: Stands for ssh: runs the command here as long as an answer is left.
SSH = """#!/bin/sh
for command; do :; done
ls {directory}/*.json >/dev/null 2>&1 || {{ echo "no route to host" >&2; exit 255; }}
exec sh -c "$command"
"""


def sick(host: str) -> Answer:
    probes = [probe(WRONG, "refused"), probe(RIGHT)]
    return observed(host, WRONG, probes=probes)


def healed(host: str) -> Answer:
    return observed(host, RIGHT)


def observed(host: str, target: str, **changes: Any) -> Answer:
    units = [unit(), nginx_unit(wants=["shop.service"], after=["shop.service"])]
    record = seen(host, instances=[nginx(route(target))], apps=[app(RIGHT)], units=units, **changes)
    return {"changed": False, "observation": record.observation}


@pytest.fixture
def host(tmp_path: Path) -> Player:
    """Variables of a host that gives these answers of `observe` and `nginx_routes`."""

    def make(name: str, *, observe: Sequence[Answer], nginx_routes: Sequence[Answer] = ()) -> dict[str, object]:
        directory = tmp_path / "answers" / name
        directory.mkdir(parents=True)
        for module, answers in (("observe", observe), ("nginx_routes", nginx_routes)):
            for number, answer in enumerate(answers):
                (directory / f"{module}.{number}.json").write_text(json.dumps(answer))
        for program, text in (("python", INTERPRETER), ("ssh", SSH)):
            (directory / program).write_text(text.format(python=sys.executable, directory=directory))
            (directory / program).chmod(0o755)
        return {
            "ansible_python_interpreter": str(directory / "python"),
            "ansible_ssh_executable": str(directory / "ssh"),
            "ansible_ssh_transfer_method": "piped",
        }

    return make


DONE = {"changed": True, "changes": ["/etc/nginx/sites-enabled/shop:12: 127.0.0.1:8001 -> 127.0.0.1:8000"]}
REFUSED = {"failed": True, "msg": "nginx -t refuses the change: nothing was changed"}


def test_a_fix_that_fails_stops_no_other_host_and_is_told(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1"), sick("web1")], nginx_routes=[REFUSED])
    web2 = host("web2", observe=[sick("web2"), healed("web2")], nginx_routes=[DONE])
    played = play("remediate", {"web1": web1, "web2": web2})
    assert played.code == 2
    assert played.said("web1: Correct the targets of routes: nginx -t refuses the change: nothing was changed") == 1
    assert played.said("still there after its fix: wrong_upstream_address/web1/") == 1
    assert played.said("Healed: wrong_upstream_address/web2/") == 1
    assert played.statuses == {"web1": "ok", "web2": "ok"}
    assert {name: each["changed"] for name, each in played.hosts.items()} == {"web1": [], "web2": DONE["changes"]}
    markdown = (played.run_dir / "report.md").read_text()
    assert "## What could not be fixed\n\n- web1: Correct the targets of routes" in markdown
    before = json.loads((played.run_dir / "before" / "report.json").read_text())
    assert sorted(finding["host"] for finding in before["findings"]) == ["web1", "web2"]


def test_a_host_that_is_lost_on_the_way_stays_in_the_report(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")])
    web2 = host("web2", observe=[sick("web2"), healed("web2")], nginx_routes=[DONE])
    played = play("remediate", {"web1": {**web1, "ansible_connection": "ssh"}, "web2": web2})
    assert played.code != 0
    assert played.said("web1 could not be looked at (failed): left no observation") == 1
    assert played.said("Healed: wrong_upstream_address/web2/") == 1
    assert played.said("Healed:", "web1") == 0
    assert played.statuses == {"web1": "failed", "web2": "ok"}
    assert played.hosts["web2"]["changed"] == DONE["changes"]


def test_a_host_that_cannot_be_looked_at_is_left_alone_and_the_others_are_mended(play: Play, host: Player) -> None:
    web2 = host("web2", observe=[sick("web2"), healed("web2")], nginx_routes=[DONE])
    played = play("remediate", {"web1": {"ansible_python_interpreter": "/no/python"}, "web2": web2})
    assert played.code == 2
    assert played.said("web1 could not be looked at (failed)", "set ansible_python_interpreter") == 1
    assert played.statuses == {"web1": "failed", "web2": "ok"}
    assert played.hosts["web2"]["changed"] == DONE["changes"]


def test_check_mode_changes_nothing_and_reports_what_it_saw(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")], nginx_routes=[DONE])
    played = play("remediate", {"web1": web1}, "--check")
    assert played.code == 0
    assert not (played.run_dir / "before").exists()
    report = json.loads((played.run_dir / "report.json").read_text())
    assert [finding["cause"] for finding in report["findings"]] == ["wrong_upstream_address"]
