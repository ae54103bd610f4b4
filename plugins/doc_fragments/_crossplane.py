# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The payload of modules that read nginx's files."""

from __future__ import annotations


class ModuleDocFragment:
    """The parameter that the action plugin fills."""

    DOCUMENTATION = r"""
requirements:
  - crossplane on the controller; nothing on the managed host
options:
  _crossplane:
    description: The controller's crossplane, filled in by the action plugin. Not to be set.
    type: str
"""
