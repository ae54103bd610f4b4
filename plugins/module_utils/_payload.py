# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""crossplane on the host, from the module's own payload."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import sys
from pathlib import Path


class PayloadError(RuntimeError):
    """The module was sent without what it needs to read nginx's files."""


def unpack_crossplane(archive: str | None, directory: str) -> None:
    """Make `import crossplane` work: `archive` is a base64 zip, unpacked nowhere, kept as one file in `directory`.

    Without an archive a crossplane that the interpreter already knows serves; with neither, PayloadError.
    """
    if not archive:
        if importlib.util.find_spec("crossplane") is None:
            raise PayloadError(
                "crossplane did not travel with the module; call it by its full name (sre.bad_gateway.*) "
                "so that its action plugin adds it, or install crossplane on this host"
            )
        return
    path = Path(directory, "bad_gateway_crossplane.zip")
    try:
        content = base64.b64decode(archive, validate=True)
    except binascii.Error as error:
        raise PayloadError(f"the crossplane archive arrived damaged: {error}") from error
    path.write_bytes(content)
    sys.path.insert(0, str(path))
