# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts crossplane into the payload of modules that read nginx's files."""

from __future__ import annotations

import base64
import functools
import importlib.util
import io
import sys
import zipfile
from pathlib import Path


class ShippingError(RuntimeError):
    """What has to travel to the hosts is not on the controller."""


@functools.lru_cache(maxsize=1)
def crossplane_archive() -> str:
    """Return the controller's crossplane as a base64 zip, some 30 kB; ShippingError when it is not installed."""
    return base64.b64encode(_zipped(_crossplane_directory())).decode("ascii")


def _crossplane_directory() -> Path:
    spec = importlib.util.find_spec("crossplane")
    if spec is None or spec.origin is None:
        raise ShippingError(
            f"crossplane is not installed for the Python that runs Ansible; "
            f"install it with: {sys.executable} -m pip install 'crossplane>=0.5.8'"
        )
    return Path(spec.origin).parent


def _zipped(package: Path) -> bytes:
    """Zip a package's Python files; fixed time stamps keep the payload the same from run to run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(package.rglob("*.py")):
            member = zipfile.ZipInfo(str(path.relative_to(package.parent)))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, path.read_bytes())
    return buffer.getvalue()
