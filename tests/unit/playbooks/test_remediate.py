# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A remediation that goes wrong on one host: the others are mended, and the report tells all. Modules are played."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.sre.bad_gateway.tests.unit.playbooks.conftest import Answer, Play, Player
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
)

WRONG, RIGHT, DOCS = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8000", "tcp:127.0.0.1:8100"


def sick(host: str) -> Answer:
    probes = [probe(WRONG, "refused"), probe(RIGHT)]
    return observed(host, WRONG, probes=probes)


def healed(host: str) -> Answer:
    return observed(host, RIGHT)


def observed(host: str, target: str, **changes: Any) -> Answer:
    units = [unit(), nginx_unit(wants=["shop.service"], after=["shop.service"])]
    record = seen(host, instances=[nginx(route(target))], apps=[app(RIGHT)], units=units, **changes)
    return {"changed": False, "observation": json.dumps(record.observation)}


DONE = {"changed": True, "changes": ["/etc/nginx/sites-enabled/shop:12: 127.0.0.1:8001 -> 127.0.0.1:8000"]}
REFUSED = {"failed": True, "msg": "nginx -t refuses the change: nothing was changed"}


def test_a_fleet_without_findings_costs_one_look_at_each_host(play: Play, host: Player) -> None:
    """There is one answer to give: whatever else a host were asked for would fail."""
    played = play("remediate", {name: host(name, observe=[healed(name)]) for name in ("web1", "web2")})
    assert played.code == 0
    assert played.statuses == {"web1": "ok", "web2": "ok"}
    assert json.loads((played.run_dir / "report.json").read_text())["findings"] == []


def test_a_fix_that_fails_stops_no_other_host_and_is_told(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")] * 3, nginx_routes=[REFUSED])
    web2 = host("web2", observe=[sick("web2"), healed("web2"), healed("web2")], nginx_routes=[DONE])
    played = play("remediate", {"web1": web1, "web2": web2})
    assert played.code == 2
    assert played.said("web1: Correct the targets of routes: nginx -t refuses the change: nothing was changed") == 1
    assert played.said("still there after its fix: wrong_upstream_address/web1/") == 1
    assert played.said("Healed: wrong_upstream_address/web2/") == 1
    assert played.statuses == {"web1": "ok", "web2": "ok"}
    assert {name: each["changed"] for name, each in played.hosts.items()} == {"web1": [], "web2": DONE["changes"]}
    markdown = (played.run_dir / "report.md").read_text()
    assert "## What could not be fixed\n\n- web1: `Correct the targets of routes" in markdown
    before = json.loads((played.run_dir / "before" / "report.json").read_text())
    assert sorted(finding["host"] for finding in before["findings"]) == ["web1", "web2"]


def test_a_loop_that_fails_says_why(play: Play, host: Player) -> None:
    stopped = [unit(active_state="inactive", sub_state="dead", main_pid=0), nginx_unit()]
    record = seen(
        "web1",
        instances=[nginx(route(RIGHT))],
        apps=[app(RIGHT, pids=[], listens=[])],
        units=stopped,
        probes=[probe(RIGHT, "refused")],
    )
    looked = {"changed": False, "observation": json.dumps(record.observation)}
    web1 = host("web1", observe=[looked] * 3, service_listening=[{"failed": True, "msg": "run with become"}])
    played = play("remediate", {"web1": web1})
    assert played.code == 2
    assert played.said("web1: See to it that it runs, listens, and comes back after a reboot: run with become") == 1


def test_a_host_that_is_lost_on_the_way_stays_in_the_report(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")])
    web2 = host("web2", observe=[sick("web2"), healed("web2"), healed("web2")], nginx_routes=[DONE])
    played = play("remediate", {"web1": {**web1, "ansible_connection": "ssh"}, "web2": web2})
    assert played.code != 0
    assert played.said("web1 could not be looked at (failed): left no observation") == 1
    assert played.said("Healed: wrong_upstream_address/web2/") == 1
    assert played.said("Healed:", "web1") == 0
    assert played.statuses == {"web1": "failed", "web2": "ok"}
    assert played.hosts["web2"]["changed"] == DONE["changes"]


def test_a_host_that_cannot_be_looked_at_is_left_alone_and_the_others_are_mended(play: Play, host: Player) -> None:
    web2 = host("web2", observe=[sick("web2"), healed("web2"), healed("web2")], nginx_routes=[DONE])
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


WORSE = {
    "failed": True,
    "msg": "a route that answered did not any more, everything was put back",
    "worse": ["docs.example /"],
}
TAKEN_BACK = {"changed": True, "changes": ["/etc/nginx/sites-enabled/shop: taken back"]}


def beside_docs(host: str, target: str, *, docs: str = "answered") -> Answer:
    """The sick site or the mended one, and another site with an app of its own."""
    units = [unit(), unit("docs.service"), nginx_unit(wants=["shop.service"], after=["shop.service"])]
    routes = [route(DOCS, id="docs.example /", line=20), route(target)]
    probes = [probe(WRONG, "refused"), probe(RIGHT), probe(DOCS, docs)]
    apps = [app(RIGHT), app(DOCS, unit="docs.service")]
    record = seen(host, instances=[nginx(*routes)], apps=apps, units=units, probes=probes)
    return {"changed": False, "observation": json.dumps(record.observation)}


def test_a_batch_that_got_worse_is_taken_back_and_nobody_else_is_touched(play: Play, host: Player) -> None:
    before, worse = beside_docs("web1", WRONG), beside_docs("web1", RIGHT, docs="refused")
    web1 = host("web1", observe=[before, worse, worse, before], nginx_routes=[DONE], rollback=[TAKEN_BACK])
    played = play("remediate", {"web1": web1, "web2": host("web2", observe=[sick("web2")] * 2)})
    assert played.code == 2
    assert played.said("web1: it got worse, everything was taken back. web1: docs.example / at", "answered before") == 1
    assert played.said("web2: not attempted: the rollout stopped at web1, which got worse") == 1
    assert {name: each["changed"] for name, each in played.hosts.items()} == {"web1": [], "web2": []}


def test_one_bad_moment_is_no_verdict(play: Play, host: Player) -> None:
    mended = beside_docs("web1", RIGHT)
    looks = [beside_docs("web1", WRONG), beside_docs("web1", RIGHT, docs="refused"), mended, mended]
    played = play("remediate", {"web1": host("web1", observe=looks, nginx_routes=[DONE])})
    assert played.said("Healed: wrong_upstream_address/web1/") == 1
    assert played.hosts["web1"]["changed"] == DONE["changes"]


def test_a_change_that_its_host_took_back_itself_stops_the_rollout_too(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")] * 3, nginx_routes=[WORSE], rollback=[{"changed": False, "changes": []}])
    played = play("remediate", {"web1": web1, "web2": host("web2", observe=[sick("web2")] * 2)})
    assert played.code == 2
    assert played.said("web1: it got worse, everything was taken back. docs.example /") == 1
    assert played.said("web2: not attempted: the rollout stopped at web1") == 1


def test_what_is_to_be_left_alone_is_left_alone(play: Play, host: Player) -> None:
    web1 = host("web1", observe=[sick("web1")])
    for chosen in ({"remediate_skip": ["wrong_upstream_address"]}, {"remediate_only": ["app_not_running"]}):
        played = play(
            "remediate", {"web1": host(f"web1-{len(str(chosen))}", observe=[sick("web1")])}, "-e", json.dumps(chosen)
        )
        assert played.code == 0
    played = play("remediate", {"web1": web1}, "-e", json.dumps({"remediate_only": ["no_such_cause"]}))
    assert played.code == 2
    assert played.said("'no_such_cause' is no cause; there are: ") == 1
