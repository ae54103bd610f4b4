# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of an app server, from files beside it. Nothing is run: the program may belong to anybody."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start

_DISTRIBUTIONS = {
    "gunicorn": "gunicorn",
    "uvicorn": "uvicorn",
    "hypercorn": "[Hh]ypercorn",
    "granian": "granian",
    "waitress": "waitress",
    "uwsgi": "u[Ww][Ss][Gg][Ii]",
}
_DPKG = Path("/var/lib/dpkg/status")
_SYSTEM = Path("/usr")
_NUMBER = r"\d+(?:\.\d+)*"


def _python_distribution(prefixes: Iterable[Path], name: str) -> str:
    for prefix in prefixes:
        for place in ("lib/python3*/site-packages", "lib/python3*/dist-packages", "lib/python3/dist-packages"):
            for entry in sorted(glob.glob(f"{glob.escape(str(prefix))}/{place}/{name}-*-info")):  # noqa: PTH207
                match = re.search(rf"-({_NUMBER}[^-]*?)(?:-py[\d.]+)?\.(?:dist|egg)-info$", entry)
                if match:
                    return match[1]
    return ""


@lru_cache(maxsize=1)
def _debian_packages(status: Path) -> dict[str, str]:
    """Upstream versions of all packages: "18.20.4" of "1:18.20.4+dfsg-1~deb12u2"."""
    try:
        text = status.read_text("utf-8", "replace")
    except OSError:
        return {}
    pairs = re.findall(rf"^Package: (\S+)\n(?:[^\n]+\n)*?Version: (?:\d+:)?({_NUMBER})", text, re.MULTILINE)
    return dict(pairs)


def _debian(prefixes: Iterable[Path], names: Iterable[str]) -> str:
    if _SYSTEM not in prefixes:
        return ""
    packages = _debian_packages(_DPKG)
    return next((packages[name] for name in names if name in packages), "")


def _of_node(prefixes: Iterable[Path]) -> str:
    """From the directory that version managers name after it, from its headers, from its package."""
    for prefix in prefixes:
        match = re.search(rf"/v?({_NUMBER})$", str(prefix))
        if match and "node" in str(prefix):
            return match[1]
        try:
            text = (prefix / "include/node/node_version.h").read_text("ascii", "replace")
        except OSError:
            continue
        numbers = re.findall(r"^#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION (\d+)", text, re.MULTILINE)
        if len(numbers) == 3:
            return ".".join(numbers)
    return _debian(prefixes, ["nodejs"])


def _of_puma(start: Start, title: str) -> str:
    """From the running master's title, from Gemfile.lock, from its package."""
    match = re.match(rf"puma ({_NUMBER})", title)
    if match:
        return match[1]
    lock = start.path("Gemfile.lock")
    try:
        text = lock.read_text("utf-8", "replace") if lock else ""
    except OSError:
        text = ""
    match = re.search(rf"^ {{4}}puma \(({_NUMBER})\)", text, re.MULTILINE)
    return match[1] if match else _debian(start.prefixes, ["puma"])


def version_of(program: str, start: Start, *, title: str = "", exe: str = "") -> str:
    """Empty when it cannot be told. `title` is what the running master calls itself, `exe` the file that it runs."""
    if program == "node":
        return _of_node(start.prefixes)
    if program == "puma":
        return _of_puma(start, title)
    if program == "php-fpm":
        match = re.search(r"php-fpm(\d[\d.]*)$", exe or (start.argv[0] if start.argv else ""))
        return _debian(start.prefixes, [f"php{match[1]}-fpm", "php-fpm"] if match else ["php-fpm"])
    packages = ["uwsgi-core"] if program == "uwsgi" else []
    return _python_distribution(start.prefixes, _DISTRIBUTIONS[program]) or _debian(start.prefixes, packages)
