# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What travels with a module: the collection's own code, and crossplane."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import get_importer
from types import ModuleType
from typing import Sequence
from zipimport import ZipImportError, zipimporter


class PayloadError(RuntimeError):
    """The module was sent without what it needs to read nginx's files."""


class _Zipped:
    """Finds modules of packages in zip archives. Python's own finder compiles a module there to learn its file's name,
    and then once more to run it: a third of the time that our modules need to load on a host.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """None where it is for others to find it."""
        archive = get_importer(path[0]) if path else None
        if path is None or not isinstance(archive, zipimporter):
            return None
        try:
            package = archive.is_package(name)
        except ZipImportError:  # no such module there
            return None
        place = str(Path(path[0], name.rpartition(".")[2]))
        origin = f"{place}/__init__.py" if package else f"{place}.py"
        spec = ModuleSpec(name, archive, origin=origin)  # type: ignore[arg-type]  # it is a loader, as importlib knows
        spec.submodule_search_locations = [place] if package else None
        spec.has_location = True
        return spec


def compile_once() -> None:
    """From here on, compile what is imported from the payload once. To be called before most of it is imported.

    Does nothing where this is no part of a payload, but a file of its own.
    """
    zipped = isinstance(get_importer(str(Path(__file__).parent)), zipimporter)
    if zipped and _Zipped not in sys.meta_path:
        sys.meta_path.insert(0, _Zipped)


class _NoChecks(ModuleType):
    """Stands in for crossplane's analyzer, whose checks are never asked for here: nothing in it does anything.

    Its tables of directives are two thirds of crossplane, which a host would compile for nothing.
    """

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_options: None


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
    sys.modules["crossplane.analyzer"] = _NoChecks("crossplane.analyzer")
