# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entries that must fail: they prove that the harness sees a miss and a false alarm when there is one."""

from __future__ import annotations

from dataclasses import replace

from .._model import Fault, Run
from ._healthy import FAULTS as HEALTHY
from ._tcp import FAULTS as TCP
from ._unix import FAULTS as UNIX

_BY_ID = {fault.id: fault for fault in (*TCP, *UNIX, *HEALTHY)}


def _unbroken(fault: Fault) -> Fault:
    """The fault without its breaking step: nothing can be named."""
    return replace(fault, id=f"no_{fault.id}", about="left whole", broken=(), driven=(), must_fail=True)


def _planted(fault: Fault, *steps: Run) -> Fault:
    """A healthy fleet that is broken after all: a false alarm must be seen."""
    return replace(fault, id=f"un{fault.id}", about="broken after all", broken=steps, driven=(), must_fail=True)


FAULTS = (
    _unbroken(_BY_ID["app_stopped"]),
    _unbroken(_BY_ID["wrong_port"]),
    _unbroken(_BY_ID["directory_closed"]),
    _planted(_BY_ID["well_gunicorn"], Run("systemctl stop shop")),
    _planted(_BY_ID["well_across"], Run("systemctl stop shop", host="app")),
)
