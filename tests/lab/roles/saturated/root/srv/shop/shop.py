# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A shop that has to ask a database for every page, which takes it a while."""

from __future__ import annotations

import time
from typing import Any


def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"shop\n"]
