# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table for the terminal."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._table import table
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._report._diagnoses import broken, healthy

EXPECTED = """\
SEVERITY      HOST  FINDING                                  FIX
------------  ----  ---------------------------------------  ---------------------------------------
outage        web1  nginx points where no app server         automatic: Pass to 127.0.0.1:8000
                    listens                                  instead of tcp:127.0.0.1:8001
                    wrong_upstream_address
                    tcp:127.0.0.1:8001
                    shop.example /1

outage        web2  nginx points where no app server         to decide: Set pass_to of
                    listens                                  proxy_pass_routes to the right one of
                    wrong_upstream_address                   the candidates: several app servers
                    tcp:127.0.0.1:8001                       have no route
                    shop.example /                           - 127.0.0.1:8000
                                                             - 127.0.0.1:8005
------------  ----  ---------------------------------------  ---------------------------------------
2 outages on 2 of 3 hosts; 1 host could not be looked at: db1"""


def test_findings_are_a_table() -> None:
    assert table(broken()) == EXPECTED


def test_nothing_found_is_one_line() -> None:
    assert table(healthy()) == "no findings on 2 hosts"


def test_it_fits_and_folds_whatever_the_hosts_say() -> None:
    text = table(broken(routes=9, host="web1." + "very-long-name." * 9 + "example", name="shop-" * 60))
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "and 6 more routes" in text


def test_nothing_from_a_host_steers_the_terminal() -> None:
    text = table(broken(name="\x1b[2Jshop\r\x07\x9b31m\u202eexample"))
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    assert "shop" in text
