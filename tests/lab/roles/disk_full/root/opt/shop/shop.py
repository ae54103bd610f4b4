# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An app that cannot start on a full disk: it writes its cache first."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

Path("/srv/shop/cache").write_bytes(bytes(2 << 20))
sys.path.insert(0, "/srv/app")
application = import_module("wsgi").application
