# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app that answers with the status that the path ends with, and with a body of its own."""

from __future__ import annotations

from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    status = environ["PATH_INFO"].rpartition("/")[2]
    start_response(f"{status} Said by the app", [("Content-Type", "application/problem+json")])
    return [f'{{"title":"prices says {status}"}}'.encode()]
