# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app that waits for something else in every request, as most do for their database."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any

sys.path.insert(0, "/srv/app")
_answer = import_module("wsgi").application


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    time.sleep(0.2)
    answer: list[bytes] = _answer(environ, start_response)
    return answer
