# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook that tells whether routes answer, on a configuration whose port is open and then closed."""

from __future__ import annotations

import socket
from pathlib import Path

from ansible_collections.sre.bad_gateway.tests.unit.playbooks.conftest import Play


def site(directory: Path, port: int) -> dict[str, object]:
    config = directory / "nginx.conf"
    config.write_text(f"events {{}}\nhttp {{ server {{ location / {{ proxy_pass http://127.0.0.1:{port}; }} }} }}\n")
    return {"bad_gateway_nginx_config": str(config), "audit_probe": "connect"}


def test_routes_that_answer_and_one_that_does_not(play: Play, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        host = site(tmp_path, port)
        played = play("verify", {"web1": host})
        assert played.code == 0
        assert played.said("1 route on 1 host, none without an answer") == 1
        assert not (played.run_dir / "report.json").exists()
    played = play("verify", {"web1": host})
    assert played.code == 2
    assert played.said(f"web1: _ / at tcp:127.0.0.1:{port} does not answer: refused: Connection refused") == 1


def test_no_route_is_no_proof(play: Play, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("events {}\n")
    played = play("verify", {"web1": {"bad_gateway_nginx_config": str(tmp_path / "nginx.conf")}})
    assert played.code == 0
    assert played.said("No route was found on 1 host: there was nothing to verify") == 1


def test_a_host_that_could_not_be_looked_at_does_not_pass(play: Play, tmp_path: Path) -> None:
    played = play("verify", {"web1": {"ansible_python_interpreter": "/no/python"}})
    assert played.code == 2
    assert played.said("web1: could not be looked at: /no/python cannot run the module") == 1
