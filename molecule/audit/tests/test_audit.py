# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

REPORT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "report"


@pytest.fixture(scope="module")
def report() -> Any:
    return json.loads((REPORT / "report.json").read_text())


def test_it_looked_at_every_host(report: Any) -> None:
    assert {host: data["status"] for host, data in report["hosts"].items()} == {"web1": "ok", "plain1": "ok"}


def test_the_cause_is_named_and_nothing_else(report: Any) -> None:
    assert [(f["cause"], f["host"], f["severity"]) for f in report["findings"]] == [
        ("wrong_upstream_address", "web1", "outage")
    ]


def test_the_finding_says_where_and_how(report: Any) -> None:
    (finding,) = report["findings"]
    (route,) = finding["routes"]
    assert route["server_names"] == ["shop.example"]
    assert route["file"].endswith("/shop.example.conf")
    assert finding["endpoint"] == "tcp:127.0.0.1:8001"
    assert finding["fix"]["automatic"] is True
    assert finding["fix"]["variables"]["proxy_pass_routes"][0]["pass_to"] == "127.0.0.1:8000"
    assert {"probe", "config"} <= {evidence["kind"] for evidence in finding["evidence"]}


def test_people_can_read_it_too(report: Any) -> None:
    text = (REPORT / "report.md").read_text()
    assert "shop.example" in text
    assert "127.0.0.1:8000" in text


def test_no_file_is_another_than_before(host: Host) -> None:
    assert host.check_output("find /etc -type f -exec sha256sum {} + | sort | diff /root/etc_before -") == ""
