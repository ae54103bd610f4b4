# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import builtins
import importlib
import inspect
import sys
import zipfile
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils import _payload

SOURCES = {
    "shop/__init__.py": "",
    "shop/payload.py": Path(_payload.__file__).read_text(),  # it is a part of what it was sent with
    "shop/till.py": "from shop.stock import shelf\n\nGOODS = shelf.GOODS\n",
    "shop/stock/__init__.py": "",
    "shop/stock/shelf.py": "GOODS = ['tea']\n",
}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package in a zip archive, which can be imported during the test."""
    path = tmp_path / "payload.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, source in SOURCES.items():
            zipped.writestr(name, source)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(str(path))
    yield path
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are compiled during the test."""
    files: list[str] = []
    compile_ = builtins.compile

    def counting(source: Any, filename: Any, *arguments: Any, **options: Any) -> Any:
        files.append(Path(str(filename)).name)
        return compile_(source, filename, *arguments, **options)

    monkeypatch.setattr(builtins, "compile", counting)
    return files


def test_what_is_imported_from_the_payload_is_compiled_once(archive: Path, compiled: list[str]) -> None:
    importlib.import_module("shop.payload").compile_once()
    compiled.clear()
    assert importlib.import_module("shop.till").GOODS == ["tea"]
    assert sorted(name for name in compiled if name != "__init__.py") == ["shelf.py", "till.py"]


def test_modules_know_where_they_are(archive: Path) -> None:
    importlib.import_module("shop.payload").compile_once()
    shelf = importlib.import_module("shop.stock.shelf")
    assert shelf.__file__ == f"{archive}/shop/stock/shelf.py"
    assert inspect.getsource(shelf) == SOURCES["shop/stock/shelf.py"]
    assert list(importlib.import_module("shop.stock").__path__) == [f"{archive}/shop/stock"]


def test_a_module_that_is_not_there_is_missed_by_its_name(archive: Path) -> None:
    importlib.import_module("shop.payload").compile_once()
    with pytest.raises(ModuleNotFoundError, match=r"shop\.cellar"):
        importlib.import_module("shop.cellar")


def test_it_is_there_once_however_often_it_is_asked_for(archive: Path) -> None:
    finders = len(sys.meta_path)
    for _time in range(2):
        importlib.import_module("shop.payload").compile_once()
    assert len(sys.meta_path) == finders + 1


def test_outside_a_payload_python_imports_as_ever() -> None:
    finders = list(sys.meta_path)
    _payload.compile_once()
    assert sys.meta_path == finders


ON_THE_CONTROLLER = {"diagnose", "new_run", "report", "verify"}  # documented there; their action plugins do all of it
MODULES = sorted(Path(__file__).parents[4].glob("plugins/modules/*.py"))
ON_HOSTS = [path for path in MODULES if path.stem not in ON_THE_CONTROLLER]


@pytest.mark.parametrize("module", ON_HOSTS, ids=lambda path: path.stem)
def test_every_module_has_it_done_before_it_imports_more(module: Path) -> None:
    imports, done, rest = module.read_text().partition("\ncompile_once()\n")
    assert done
    others = [line for line in imports.splitlines() if ".module_utils." in line and "._payload import" not in line]
    assert others == ["from ansible.module_utils.basic import AnsibleModule"]
    assert "AnsibleModule(" in rest
