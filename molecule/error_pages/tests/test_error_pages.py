# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Callable, NamedTuple

import pytest
from testinfra.host import Host

SITES = "/etc/nginx/sites-enabled"
#: What a browser sends.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(host: Host) -> Ask:
    """Asks nginx on the host, as a client that accepts something."""

    def asked(url: str, *, accept: str = "*/*") -> Answer:
        site, path = url.split("/", 1)
        command = "curl -sS -i -H %s -H %s http://127.0.0.1/%s"
        told = host.check_output(command, f"Host: {site}", f"Accept: {accept}", path).replace("\r", "")
        head, _blank, body = told.partition("\n\n")
        first, *rest = head.split("\n")
        return Answer(int(first.split()[1]), dict(_field(line) for line in rest), body)

    return asked


def _field(line: str) -> tuple[str, str]:
    name, _colon, value = line.partition(": ")
    return name.lower(), value


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json, */*;q=0.1"])
def test_who_asks_for_json_gets_json(ask: Ask, accept: str) -> None:
    answer = ask("shop.example/", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (502, "application/json")
    said = json.loads(answer.body)
    assert (said["status"], said["retry_after"]) == (502, 30)


@pytest.mark.parametrize("accept", [BROWSER, "*/*"])
def test_all_others_get_html(ask: Ask, accept: str) -> None:
    answer = ask("shop.example/", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert answer.body.startswith("<!DOCTYPE html>")
    assert "nginx" not in answer.body


@pytest.mark.parametrize("accept", ["application/json", BROWSER])
def test_clients_are_told_when_to_try_again(ask: Ask, accept: str) -> None:
    headers = ask("shop.example/", accept=accept).headers
    assert (headers["retry-after"], headers["cache-control"]) == ("30", "no-store")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 404, 200])
@pytest.mark.parametrize("accept", ["application/json", BROWSER])
def test_what_the_app_says_passes(ask: Ask, status: int, accept: str) -> None:
    answer = ask(f"shop.example/prices/{status}", accept=accept)
    assert (answer.status, answer.body) == (status, f'{{"title":"prices says {status}"}}')
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in answer.headers


def test_the_neighbour_answers_as_before(ask: Ask, host: Host) -> None:
    answer = ask("old.example/", accept="application/json")
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert "<center>nginx" in answer.body
    now = host.check_output(f"sha256sum {SITES}/old.example.conf")
    assert now in host.file("/root/etc_before").content_string.splitlines()


def test_when_the_app_runs_its_answers_pass(ask: Ask, host: Host) -> None:
    try:
        host.check_output("systemctl start shop.service")
        answer = ask("shop.example/", accept="application/json")
    finally:
        host.check_output("systemctl stop shop.service")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
