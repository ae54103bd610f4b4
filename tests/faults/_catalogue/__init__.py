# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every entry of the catalogue: faults by family, then healthy fleets, then the proofs of the harness itself."""

from __future__ import annotations

from . import _across, _healed, _healthy, _inside, _neighbours, _proofs, _response, _risks, _tcp, _tls, _unix, _written

FAULTS = (
    *_tcp.FAULTS,
    *_unix.FAULTS,
    *_tls.FAULTS,
    *_response.FAULTS,
    *_inside.FAULTS,
    *_across.FAULTS,
    *_risks.FAULTS,
    *_healed.FAULTS,
    *_neighbours.FAULTS,
    *_healthy.FAULTS,
    *_written.FAULTS,
    *_proofs.FAULTS,
)
if len({fault.id for fault in FAULTS}) != len(FAULTS):
    raise ValueError("two entries of the catalogue have one id")
