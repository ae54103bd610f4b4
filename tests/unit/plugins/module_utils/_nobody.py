# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user who is not root meets, also where root runs the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import as_user

NOBODY = 65534


def as_nobody(look: Callable[[], Any]) -> Any:
    """The result of `look`, JSON data, from a process that is not root's."""
    return look() if os.geteuid() else as_user(NOBODY, NOBODY, look)
