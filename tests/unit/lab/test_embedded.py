# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab._embedded import (
    HOSTS,
    EmbeddedHost,
    Process,
    Site,
    _signal,
    gunicorn_arguments,
    inventory,
    nginx_config,
    processes_in,
)

HOST = EmbeddedHost("web9", "127.77.0.9", (Site("a.example", 8000, 8001), Site("b.example", 8100, 8100)))


def test_nginx_proxies_to_the_port_it_was_told_and_the_app_binds_its_own() -> None:
    config = nginx_config(HOST, user="")
    assert config.count("{") == config.count("}")
    assert "proxy_pass http://127.77.0.9:8001;" in config
    assert "proxy_pass http://127.77.0.9:8000;" not in config
    argv = gunicorn_arguments(HOST, HOST.sites[0])
    assert argv[argv.index("--bind") + 1] == "127.77.0.9:8000"


@pytest.mark.parametrize(("user", "first"), [("root", "user root;"), ("", "worker_processes 1;")])
def test_only_root_names_the_user_of_the_workers(user: str, first: str) -> None:
    assert nginx_config(HOST, user=user).splitlines()[0] == first


def test_the_inventory_limits_the_audit_of_a_host_to_its_own_nginx() -> None:
    read = yaml.safe_load(inventory("/venv/bin/python"))["all"]
    assert read["vars"] == {"ansible_connection": "local", "ansible_python_interpreter": "/venv/bin/python"}
    configs = {name: own["bad_gateway_nginx_config"] for name, own in read["hosts"].items()}
    assert configs == {host.name: str(host.prefix / "nginx.conf") for host in HOSTS}


def test_hosts_share_neither_an_address_nor_a_prefix() -> None:
    assert len({host.address for host in HOSTS}) == len({host.prefix for host in HOSTS}) == len(HOSTS)


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """A program that sleeps and may be called nginx."""
    program = shutil.which("sleep")
    assert program is not None
    return Path(shutil.copy(program, tmp_path / "nginx"))


def test_only_processes_of_the_fleet_in_its_directory_are_found(tmp_path: Path, sleeper: Path) -> None:
    fleet, elsewhere = tmp_path / "fleet" / "web1", tmp_path / "fleet-2"
    fleet.mkdir(parents=True)
    elsewhere.mkdir()
    started = [
        subprocess.Popen([sleeper, "60"], cwd=fleet),
        subprocess.Popen([sleeper, "60"], cwd=elsewhere),
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=fleet),
    ]
    try:
        assert [process.pid for process in processes_in(tmp_path / "fleet")] == [started[0].pid]
    finally:
        for child in started:
            child.kill()
            child.wait()


def test_a_number_that_was_used_again_is_left_alone(tmp_path: Path, sleeper: Path) -> None:
    (tmp_path / "web1").mkdir()
    child = subprocess.Popen([sleeper, "60"], cwd=tmp_path / "web1")
    try:
        _signal(Process(child.pid, started="1"), signal.SIGKILL)
        os.kill(child.pid, 0)
        assert child.poll() is None
        (process,) = processes_in(tmp_path)
        _signal(process, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()
