# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever is wrong gives one clear line with the remedy, and the other hosts go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.tests.unit.playbooks.conftest import PROGRAMS, Play

RUNS = ("audit", "remediate")
UNREACHABLE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def good(tmp_path: Path) -> dict[str, object]:
    """Variables of a host of which there is nothing to complain about."""
    config = tmp_path / "good.conf"
    config.write_text("events {}\n")
    return {"bad_gateway_nginx_config": str(config)}


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs an ssh client: apt-get install openssh-client")
@pytest.mark.parametrize("playbook", RUNS)
def test_an_unreachable_host(play: Play, good: dict[str, object], playbook: str) -> None:
    played = play(playbook, {"web1": good, "away": UNREACHABLE})
    assert played.code == 2
    # The reason is in Ansible's words: of ssh's own, or of the pipe to it, by which of the two it notices first.
    assert played.said("away could not be looked at (unreachable)", "127.0.0.1", "ping away` works") == 1
    assert played.statuses == {"away": "unreachable", "web1": "ok"}
    assert not played.unfinished


OLD_PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.[67].*/bin/python"))[:1]


@pytest.mark.parametrize("python", [*OLD_PYTHONS, None], ids=lambda path: "real" if path else "said")
def test_a_python_too_old(play: Play, good: dict[str, object], tmp_path: Path, python: Path | None) -> None:
    python = python or script(tmp_path / "python3.6", "echo 'SyntaxError: not that old' >&2; exit 1")
    played = play("audit", {"web1": good, "old": {"ansible_python_interpreter": str(python)}})
    assert played.code == 2
    assert played.said("old could not be", f"{python} cannot", "SyntaxError:", "set ansible_python_interpreter to") == 1
    assert played.statuses == {"old": "failed", "web1": "ok"}
    assert "Python 3.8 or later" in played.hosts["old"]["reason"]


@pytest.mark.parametrize("playbook", RUNS)
def test_an_interpreter_that_is_not_there(play: Play, good: dict[str, object], playbook: str) -> None:
    played = play(playbook, {"web1": good, "bare": {"ansible_python_interpreter": "/no/python"}})
    assert played.code == 2
    assert played.said("bare could not be looked at", "/no/python", "set ansible_python_interpreter to") == 1
    assert played.statuses == {"bare": "failed", "web1": "ok"}


def test_a_become_that_does_not_work(play: Play, good: dict[str, object]) -> None:
    another = "root" if os.geteuid() else "daemon"  # who is that user already becomes nobody else
    become = {"ansible_become": True, "ansible_become_user": another, "ansible_become_exe": "/no/sudo"}
    played = play("audit", {"web1": good, "web2": become})
    assert played.code == 2
    assert played.said("web2 could not be looked at", "/no/sudo") == 1
    assert played.statuses == {"web1": "ok", "web2": "failed"}


def test_what_many_hosts_share_is_said_once(play: Play, good: dict[str, object]) -> None:
    bare = {"ansible_python_interpreter": "/no/python"}
    played = play("audit", {"web1": good, "web2": bare, "web3": bare})
    assert played.said("web2, web3 could not be looked at (failed)") == 1
    assert played.said("could not be looked at (failed)") == 1


ALONE = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
#: The machine without its processes, without what /run tells of systemd, and without its nginx.
STRIPPED = """
exec {alone} sh -c '
mount -t tmpfs none /run
for name in nginx openresty angie tengine; do
    for directory in $(echo "$PATH" | tr : " ") /usr/local/sbin /usr/sbin /sbin /usr/local/nginx/sbin; do
        [ -e $directory/$name ] && mount --bind /dev/null $directory/$name
    done
done
exec {python} "$@"' sh "$@"
"""


def test_a_host_without_nginx(play: Play, good: dict[str, object], tmp_path: Path) -> None:
    if subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root, or namespaces for users: a host without nginx is made by hiding this one's")
    python = script(tmp_path / "python", STRIPPED.format(alone=" ".join(ALONE), python=sys.executable))
    played = play("audit", {"web1": good, "plain": {"ansible_python_interpreter": str(python)}})
    assert played.code == 0
    assert played.said("No nginx was found on plain", "bad_gateway_nginx_config") == 1
    assert played.statuses == {"plain": "ok", "web1": "ok"}
    assert played.hosts["plain"]["nginx"] == []


def test_a_configuration_that_does_not_parse(play: Play, good: dict[str, object], tmp_path: Path) -> None:
    config = tmp_path / "broken.conf"
    config.write_text("events {}\nhttp {\n    server {\n        listen 80;\n    }\n")
    played = play(
        "audit", {"web1": good, "web2": {"bad_gateway_nginx_config": str(config)}}, "-e", "audit_fail_on=risk"
    )
    assert played.code == 2
    assert played.statuses == {"web1": "ok", "web2": "ok"}
    report = json.loads((played.run_dir / "report.json").read_text())
    (evidence, *_others) = (each for finding in report["findings"] for each in finding["evidence"])
    assert evidence["source"] == f"web2:{config}:6"
    assert "unexpected end of file" in evidence["text"]
    shown = "".join(line[20:61].strip() for line in played.output.splitlines())  # the column of the table
    assert f"web2:{config}:6" in shown


@pytest.mark.parametrize("playbook", RUNS)
def test_an_inventory_without_hosts(play: Play, playbook: str) -> None:
    played = play(playbook, {})
    assert played.code == 2
    assert played.said("No host of the inventory matches 'all'", "name an inventory with -i FILE") == 1
    assert not played.run_dir.exists()


@pytest.mark.parametrize("playbook", RUNS)
def test_a_target_that_matches_nothing(play: Play, good: dict[str, object], playbook: str) -> None:
    played = play(playbook, {"web1": good}, "-e", "target=nobody")
    assert played.code == 2
    assert played.said("No host of the inventory matches 'nobody'", "-e target=PATTERN") == 1
    assert not played.run_dir.exists()


def test_an_unknown_severity_is_refused_before_any_host_is_looked_at(play: Play, good: dict[str, object]) -> None:
    played = play("audit", {"web1": good}, "-e", "audit_fail_on=sometimes")
    assert played.code == 2
    assert played.said("value of fail_on must be one of: nothing, risk, intermittent, outage, got: sometimes") == 1
    assert not played.run_dir.exists()


@pytest.mark.parametrize("wrong", ["web1", "web2"])
def test_an_unknown_value_for_one_host(play: Play, good: dict[str, object], wrong: str) -> None:
    """Whichever it is, the first one too: a run that is refused for its sake would look at no host."""
    hosts = {"web1": good, "web2": good}
    played = play("audit", {**hosts, wrong: {**good, "audit_probe": "guess"}})
    assert played.code == 2
    assert played.statuses == {**dict.fromkeys(hosts, "ok"), wrong: "failed"}
    assert "value of probe must be one of: none, connect, request, got: guess" in played.hosts[wrong]["reason"]


@pytest.mark.parametrize("playbook", RUNS)
def test_crossplane_missing_on_the_controller(
    play: Play, good: dict[str, object], tmp_path: Path, playbook: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\n\nsys.modules['crossplane'] = None\n")
    played = play(playbook, {"web1": good, "web2": good}, environment={"PYTHONPATH": str(tmp_path)})
    assert played.code == 2
    assert played.said("crossplane is not installed", f"{PROGRAMS}/python", "-m pip install 'crossplane>=") == 1
    assert not played.run_dir.exists()


@pytest.mark.parametrize("playbook", RUNS)
def test_a_run_directory_that_cannot_be_written(
    play: Play, good: dict[str, object], tmp_path: Path, playbook: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    played = play(playbook, {"web1": good, "web2": good}, run_dir=tmp_path / "file" / "run")
    assert played.code == 2
    assert played.said("cannot be written", "Not a directory", "with bad_gateway_output_dir") == 1
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_report_of_no_named_directory(play: Play) -> None:
    played = play("report", {})
    assert played.code == 2
    assert played.said("Name the run directory", "-e report_run_dir=DIR") == 1


def test_a_report_of_a_directory_that_does_not_exist(play: Play, tmp_path: Path) -> None:
    played = play("report", {}, "-e", f"report_run_dir={tmp_path}/nowhere")
    assert played.code == 2
    assert played.said(f"{tmp_path}/nowhere: no observations there", "name a directory that an audit wrote") == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_report_of_a_broken_record(play: Play, tmp_path: Path) -> None:
    record = tmp_path / "run" / "observations" / "web1.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"host": "web1", "sta')
    played = play("report", {}, "-e", f"report_run_dir={tmp_path}/run")
    assert played.code == 2
    assert played.said(f"{record}: not a record of a host", "remove it or audit again") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["observations"]
