# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of this collection promises."""

from __future__ import annotations


class ModuleDocFragment:
    """Use the first always, and one of the others."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return changed status prediction without modifying target.
  idempotent:
    support: full
    description: When run twice in a row with the same arguments, the second invocation indicates no change.
"""

    DIFF = r"""
options: {}
attributes:
  diff_mode:
    support: full
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
"""

    NO_DIFF = r"""
options: {}
attributes:
  diff_mode:
    support: none
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
"""
