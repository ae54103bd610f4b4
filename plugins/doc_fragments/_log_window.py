# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of the logs is read, for every module that reads them."""

from __future__ import annotations


class ModuleDocFragment:
    """The window."""

    DOCUMENTATION = r"""
options:
  log_since:
    description:
      - How far back logs are read, in seconds or as in V(90m), V(24h) or V(7d).
      - What was rotated away from a log since then is read too.
    type: str
    default: 24h
  log_bytes:
    description:
      - How much of each error log is read at most, the newest part, in bytes or as in V(64M). Files that were rotated
        away count too, compressed ones as what they hold.
      - All error logs of a host together take at most four times as much.
    type: bytes
    default: 64M
"""
