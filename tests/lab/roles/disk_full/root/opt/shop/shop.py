# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app that cannot start on a full disk: it writes its cache first."""

from __future__ import annotations

import sys
from pathlib import Path

Path("/srv/shop/cache").write_bytes(bytes(2 << 20))
sys.path.insert(0, "/srv/app")

from wsgi import application  # noqa: E402, F401 - what gunicorn is told to serve
