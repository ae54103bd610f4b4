# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one module of the collection as Ansible does, and counts the `nginx -t` runs that it asks for.

Arguments: the module's name, its arguments as JSON, the file to write the counts to.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.testing import patch_module_args

tests: list[float] = []
_run = subprocess.run


def _counted(argv: list[str], **options: Any) -> Any:
    begin = time.monotonic()
    try:
        return _run(argv, check=options.pop("check", False), **options)
    finally:
        if "-t" in argv:
            tests.append(time.monotonic() - begin)


def main() -> None:
    """Run it; what it prints is its answer."""
    name, arguments, counts = sys.argv[1:]
    subprocess.run = _counted  # type: ignore[assignment]
    try:
        with patch_module_args(json.loads(arguments)):
            runpy.run_module(f"ansible_collections.sre.bad_gateway.plugins.modules.{name}", run_name="__main__")
    finally:
        Path(counts).write_text(json.dumps(tests), encoding="utf-8")


if __name__ == "__main__":
    main()
