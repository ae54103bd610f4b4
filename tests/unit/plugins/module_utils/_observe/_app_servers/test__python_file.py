# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Python settings file says, without running it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._python_file import (
    read_python_values,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import UNKNOWN

ENVIRONMENT = {"WORKERS": "7", "EMPTY": ""}


def read(text: str) -> Any:
    values, _more = read_python_values(text, ["x"], environment=ENVIRONMENT, file="/srv/app/conf.py")
    return values.get("x", "not set")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = 3", 3),
        ("x: int = 3", 3),
        ("x: int", "not set"),
        ("x = y = 3", 3),
        ("x, y = 1, 2", 1),
        ("x = ['a', 'b']", ["a", "b"]),
        ("x = None", None),
        ("x = -1", -1),
        ("x = 1\nx = 2", 2),
        ("y = 2\nx = y * 2 + 1", 5),
        ("import multiprocessing\nx = multiprocessing.cpu_count() * 2 + 1", (os.cpu_count() or 0) * 2 + 1),
        ("import multiprocessing as mp\nx = mp.cpu_count()", os.cpu_count()),
        ("from os import cpu_count as cpus\nx = cpus()", os.cpu_count()),
        ("import os\nx = os.environ['WORKERS']", "7"),
        ("import os\nx = os.environ.get('GONE', '2')", "2"),
        ("import os\nx = os.environ.get('GONE')", None),
        ("from os import getenv\nx = int(getenv('WORKERS', 2))", 7),
        ("from os import environ\nx = environ.get('EMPTY') or 'b'", "b"),
        ("import os\nport = os.getenv('GONE', 8000)\nx = f'0.0.0.0:{port}'", "0.0.0.0:8000"),
        ("import os\nx = 'a' + ':' + os.environ['WORKERS']", "a:7"),
        ("import os.path\nx = os.path.join(os.path.dirname(os.path.abspath(__file__)), 's')", "/srv/app/s"),
        ("x = min(3, 5) if 1 < 2 <= 2 else 9", 3),
        ("x = 'AbC'.lower()", "abc"),
        ("if 1 > 2:\n    x = 1\nelse:\n    x = 2", 2),
        ("x = {'a': 1}['a']", 1),
        ("def f():\n    x = 1", "not set"),
        ("x = 1\nprint(x)", 1),
    ],
)
def test_known(text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "x = compute()",
        "import os\nx = os.environ['GONE']",
        "import socket\nx = socket.gethostname()",
        "import os\nx = os.system('true')",
        "x = open('/etc/hostname').read()",
        "x = [y for y in range(3)]",
        "x = lambda: 1",
        "def x():\n    pass",
        "x = 1\nif unknown:\n    x = 2",
        "x = 1\nx += 1",
        "x = [1]\nx.append(2)",
        "x = [1]\nx[0] = 2",
        "for x in range(3):\n    pass",
        "x = 1\ntry:\n    x = 2\nexcept ValueError:\n    pass",
        "import os\nx = os.getenv('GONE', shell())",
        "x = 1 / 0",
        "x = 10 ** 10 ** 10",
        "x = 'a' * 10",
        "x = 2 ** 3",
        "x = '%1000000000d' % 1",
        "x = f'{1:1000000000}'",
        "y = [1]\nx = [y, y]",
        "cpu_count = 3\nx = cpu_count()",
        "from secrets import x",
    ],
)
def test_what_only_running_it_would_tell(text: str) -> None:
    assert read(text) is UNKNOWN


def test_a_star_import_may_set_anything_and_hides_what_came_before() -> None:
    values, more = read_python_values("x = 1\nfrom base import *\ny = 2", ["x", "y"], environment={}, file="")
    assert (values["x"], values["y"], more) == (UNKNOWN, 2, True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = ", id="not Python"),
        pytest.param("x = '\0'", id="a zero byte"),
        pytest.param("x = " + "(" * 5000 + ")" * 5000, id="deep brackets"),
        pytest.param("x = " + "-" * 50_000 + "1", id="a deep tree"),
    ],
)
def test_what_cannot_be_read_is_one_error(text: str) -> None:
    with pytest.raises(ValueError, match="not Python that can be read"):
        read(text)


def test_a_file_too_large_to_be_parsed_safely_is_not() -> None:
    with pytest.raises(ValueError, match="larger than 64 KiB"):
        read("x = " + "1+" * 500_000 + "1")


def test_nothing_is_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    assert read(f"open({str(witness)!r}, 'w')\nimport os\nos.mkdir({str(witness)!r})\nx = 1") == 1
    assert not witness.exists()
