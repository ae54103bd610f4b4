# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking as another user."""

from __future__ import annotations

import os

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import as_user, look_into
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._nobody import as_nobody

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def _fail() -> None:
    raise FileNotFoundError("gone")


def _denied() -> None:
    raise PermissionError("not for me")


@only_root
def test_the_look_is_taken_with_the_other_users_ids() -> None:
    groups = os.getgroups()
    os.setgroups([4])
    try:
        assert as_user(65534, 65533, lambda: [os.geteuid(), os.getegid(), os.getgroups()]) == [65534, 65533, []]
        assert (os.geteuid(), os.getgroups()) == (0, [4])
    finally:
        os.setgroups(groups)


@only_root
def test_a_look_that_fails_is_an_error() -> None:
    with pytest.raises(PermissionError, match="not permitted as user 65534 either"):
        as_user(65534, 65534, _fail)


def _become_root() -> str:
    try:
        return str(as_user(0, 0, lambda: "seen"))
    except PermissionError as error:
        return str(error)


def test_who_may_not_become_another_user_gets_an_error() -> None:
    assert as_nobody(_become_root) == "not permitted as user 0 either"


def test_what_we_may_see_ourselves_needs_nobody_elses_eyes() -> None:
    assert look_into(1, 1, os.getpid) == os.getpid()


@only_root
def test_roots_second_look_fails_in_the_same_words_for_every_user() -> None:
    with pytest.raises(PermissionError) as denied:
        look_into(65534, 65534, _denied)
    assert denied.value.strerror == "Permission denied"
