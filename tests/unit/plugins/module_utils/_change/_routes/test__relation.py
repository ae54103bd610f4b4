# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No entry makes nginx keep connections for as long as the app server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_servers import AppServers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import draft_entries
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config

OLD, NEW, OLDEST = (1, 22, 1), (1, 29, 7), (1, 14, 2)
DIRECT = "http { server { location / { proxy_pass http://127.0.0.1:8000; } } }"
GRPC = "http { server { location / { grpc_pass grpc://127.0.0.1:8000; } } }"
FASTCGI = "http { server { location / { fastcgi_pass 127.0.0.1:8000; } } }"
CLOSING = (
    "http { server { location / { proxy_pass http://127.0.0.1:8000; proxy_http_version 1.0; proxy_pass_header X; } } }"
)
RACING = (
    "http { upstream app { server 127.0.0.1:8000; keepalive 8; } server { location / { proxy_pass http://app;"
    ' proxy_http_version 1.1; proxy_set_header Connection ""; } } }'
)
GUNICORN = {"kind": "gunicorn", "settings": {"idle_timeout": 2, "worker_class": "gthread"}}
SYNC = {"kind": "gunicorn", "settings": {"idle_timeout": 0, "worker_class": "sync"}}
NODE = {"kind": "node", "settings": {"idle_timeout": 5}}
HYPERCORN = {"kind": "other", "unit": None, "settings": {"idle_timeout": 5, "server": "hypercorn"}}
OTHER = {"kind": "other", "settings": {"idle_timeout": None}}


def drafted(
    directory: Path,
    text: str,
    *wanted: dict[str, Any],
    app: dict[str, Any] | None,
    version: tuple[int, ...] = OLD,
    **more: Any,
) -> Draft:
    (directory / "nginx.conf").write_text(text)
    draft = Draft(read_config("nginx.conf", prefix=str(directory)), version=version)
    found: Any = [{"unit": "shop.service", "listens": ["tcp:127.0.0.1:8000"], **app}] if app else []
    entries = [entry_of({"location": "/", "upstream": {"name": "app", **one}, **more}) for one in wanted]
    draft_entries([draft], entries, apps=AppServers(lambda: (found, ("127.0.0.1",))))
    return draft


KEEP = {"keepalive": 8}
REFUSED = {
    "sync workers": (DIRECT, KEEP, SYNC, OLD, r"keepalive would keep nothing: gunicorn with sync workers \(shop.serv"),
    "60 s against 5": (
        DIRECT,
        KEEP,
        NODE,
        OLD,
        r"for 60 s, but node \(shop.service\) closes them after 5 s, and .* 502",
    ),
    "without a unit": (DIRECT, KEEP, HYPERCORN, OLD, "but hypercorn closes"),
    "the way out": (DIRECT, KEEP, GUNICORN, OLD, r"keepalive_timeout: 1s or no keepalive; say with app_idle_timeout"),
    "as long as": (DIRECT, {**KEEP, "keepalive_timeout": "5s"}, NODE, OLD, r"for 5 s, but node"),
    "by default": (DIRECT, {}, NODE, NEW, r"keepalive_timeout: 4s or keepalive: 0;"),
    "no time-out": (
        DIRECT,
        KEEP,
        {**NODE, "settings": {"idle_timeout": 75}},
        OLDEST,
        "until the app server closes them",
    ),
    "it is said": (DIRECT, {**KEEP, "app_idle_timeout": 30}, None, OLD, "the app server closes them after 30 s"),
    "said against settings": (
        DIRECT,
        {**KEEP, "app_idle_timeout": 3},
        {**NODE, "settings": {"idle_timeout": 75}},
        OLD,
        "3 s",
    ),
    "gRPC": (GRPC, KEEP, NODE, OLD, "for 60 s, but node"),
    "it is there": (RACING, KEEP, NODE, OLD, "for 60 s, but node"),
}


@pytest.mark.parametrize(("text", "wanted", "app", "version", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    tmp_path: Path, text: str, wanted: dict[str, Any], app: Any, version: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RouteError, match=message):
        drafted(tmp_path, text, wanted, app=app, version=version)


DONE: dict[str, tuple[str, dict[str, Any], Any, tuple[int, ...]]] = {
    "nginx closes first": (DIRECT, {**KEEP, "keepalive_timeout": "4s"}, NODE, OLD),
    "the app's own time is longer": (DIRECT, KEEP, {**NODE, "settings": {"idle_timeout": 75}}, OLD),
    "it is said": (DIRECT, {**KEEP, "app_idle_timeout": 75}, NODE, OLD),
    "none is kept": (DIRECT, {"zone": "app 64k"}, NODE, OLD),
    "none is kept since 1.29.7": (DIRECT, {"keepalive": 0}, NODE, NEW),
    "sync workers close all the same": (DIRECT, {}, SYNC, NEW),
    "the route ends each": (CLOSING, {}, NODE, NEW),
    "FastCGI": (FASTCGI, KEEP, {"kind": "php-fpm", "settings": {"idle_timeout": 0}}, OLD),
    "it is about something else": (RACING, {"server_parameters": {"max_fails": 3}}, NODE, OLD),
}


@pytest.mark.parametrize(("text", "wanted", "app", "version"), DONE.values(), ids=DONE.keys())
def test_done(tmp_path: Path, text: str, wanted: dict[str, Any], app: Any, version: tuple[int, ...]) -> None:
    draft = drafted(tmp_path, text, wanted, app=app, version=version)
    assert draft.results()
    assert draft.warnings == []


def test_what_all_entries_together_lead_to_counts(tmp_path: Path) -> None:
    assert drafted(tmp_path, DIRECT, KEEP, {"keepalive_timeout": "4s"}, app=NODE).results()


@pytest.mark.parametrize("app", [None, OTHER])
def test_what_is_not_known_is_said(tmp_path: Path, app: Any) -> None:
    draft = drafted(tmp_path, DIRECT, KEEP, app=app)
    assert draft.results()
    (warning,) = draft.warnings
    assert warning.startswith(
        "upstream app, server 127.0.0.1:8000: nginx keeps idle connections for 60 s, and after how"
    )
    assert warning.endswith("Say it with app_idle_timeout")


@pytest.mark.parametrize("wanted", [{"keepalive": 8}, {"name": None, "keepalive_timeout": "4s"}])
def test_what_an_entry_made_it_takes_back(tmp_path: Path, wanted: dict[str, Any]) -> None:
    text = RACING.replace("keepalive 8;", "keepalive 8; keepalive_timeout 4s;")
    assert drafted(tmp_path, text, wanted, app=NODE, state="absent").results()


def test_time_outs_of_upstream_blocks_have_a_first_version(tmp_path: Path) -> None:
    wanted = {**KEEP, "keepalive_timeout": "1s"}
    with pytest.raises(RouteError, match=r"from nginx 1\.15\.3 on, this is 1\.14\.2"):
        drafted(tmp_path, DIRECT, wanted, app=NODE, version=OLDEST)
    assert drafted(tmp_path, DIRECT, wanted, app=NODE, version=(1, 15, 3)).results()
    assert drafted(tmp_path, DIRECT, wanted, app=NODE, version=()).results()
