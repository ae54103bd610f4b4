# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults as data."""

from __future__ import annotations

import pytest
from faults._model import Ask, Fault, Part, host


@pytest.mark.parametrize(
    ("status", "seen", "right"),
    [
        pytest.param((502,), [502, 502], True, id="as demanded"),
        pytest.param((502,), [502, 200], False, id="one that was not demanded"),
        pytest.param((502,), [], False, id="none"),
        pytest.param((504, 200), [200, 504], True, id="some of each"),
        pytest.param((504, 200), [200, 200], False, id="the first never came"),
    ],
)
def test_status_codes(status: tuple[int, ...], seen: list[int], right: bool) -> None:
    assert (Ask(status).judge(seen) == "") is right


def test_the_last_part_decides() -> None:
    merged = host(Part(("nginx",), {"/a": "1", "/b": "1"}, ("x",)), Part(("nginx",), {"/a": "2"}, ("x", "y")))

    assert merged.roles == ("nginx",)
    assert merged.files == {"/a": "2", "/b": "1"}
    assert merged.enabled == ("x", "y")


def test_hosts_are_named_after_their_fault() -> None:
    fault = Fault("wrong_port", "", {"web": host(), "app": host()})

    assert fault.fleet_name("web") == "wrong-port-web"
    assert fault.fill("proxy_pass http://@app@:8000;") == "proxy_pass http://wrong-port-app:8000;"


def test_an_id_that_makes_no_host_name_is_refused() -> None:
    with pytest.raises(ValueError, match="host names"):
        Fault("Wrong-Port", "")
