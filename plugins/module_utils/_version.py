# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions that an observation bears."""

from __future__ import annotations

#: Of the observation's structure.
SCHEMA_VERSION = 1

#: That of galaxy.yml, which does not travel to hosts.
COLLECTION_VERSION = "0.1.0"
