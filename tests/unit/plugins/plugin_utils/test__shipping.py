# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import crossplane
import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils import _payload
from ansible_collections.sre.bad_gateway.plugins.plugin_utils import _shipping

PROBE = """
import importlib.util, json, sys
sys.path = [p for p in sys.path if "site-packages" not in p]
spec = importlib.util.spec_from_file_location("_payload", sys.argv[1])
payload = importlib.util.module_from_spec(spec)
spec.loader.exec_module(payload)
payload.unpack_crossplane(sys.stdin.read(), sys.argv[2])
import crossplane
print(crossplane.__file__)
print("DIRECTIVES" in vars(sys.modules["crossplane.analyzer"]))
print(json.dumps(crossplane.parse(sys.argv[3], check_ctx=False, check_args=False)))
"""

CONFIG = """
events { worker_connections 64; }
http {
    server {
        listen 80 extra words that_nobody_knows;
        location / {
            if ($request_method = POST) { return 405; }
            location /deeper { proxy_pass http://127.0.0.1:8000; }
            content_by_lua_block { if x then y() end }
            unheard_of directive;
        }
        upstream misplaced { server 127.0.0.1:8000; }
    }
}
"""


def test_a_host_without_crossplane_reads_nginx_files_with_the_one_that_travels(tmp_path: Path) -> None:
    """It leaves its tables of directives unread, and reads the same without them."""
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG)
    command = [sys.executable, "-I", "-c", PROBE, str(_payload.__file__), str(tmp_path), str(config)]
    answer = subprocess.run(command, input=_shipping.crossplane_archive(), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    where, tables, tree = answer.stdout.splitlines()
    assert tables == "False"
    assert where.startswith(str(tmp_path))
    assert json.loads(tree) == crossplane.parse(str(config), check_ctx=False, check_args=False)
    assert "unheard_of" in tree


def test_the_archive_is_the_same_every_time() -> None:
    first = _shipping.crossplane_archive()
    _shipping.crossplane_archive.cache_clear()
    assert _shipping.crossplane_archive() == first


def test_a_controller_without_crossplane_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _shipping.crossplane_archive.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(_shipping.ShippingError, match="-m pip install 'crossplane"):
        _shipping.crossplane_archive()


def test_a_module_sent_without_the_archive_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(_payload.PayloadError, match="did not travel"):
        _payload.unpack_crossplane(None, str(tmp_path))


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(_payload.PayloadError, match="damaged"):
        _payload.unpack_crossplane("not base64!", str(tmp_path))
