# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How action plugins refuse: where typed exceptions become the result of a task."""

from __future__ import annotations

from typing import Any


def refusal(error: Exception) -> dict[str, Any]:
    """The result of a task that refuses, to be returned: ansible-core 2.18 shows what is raised as a crash."""
    return {"failed": True, "msg": str(error)}
