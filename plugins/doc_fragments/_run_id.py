# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules that change files say about the run that they belong to."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run_id:
    description:
      - The run that this change belongs to. M(sre.bad_gateway.rollback) takes back all changes of a run.
      - V(RUN/PART) names a part of a run, which can be taken back with the run or alone.
      - By default the change is a run of its own.
    type: str
    default: ""
"""
