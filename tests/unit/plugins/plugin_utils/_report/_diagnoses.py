# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses to report."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis, diagnose
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
    unreachable,
)

WRONG, RIGHT, OTHER = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8000", "tcp:127.0.0.1:8005"


def healthy() -> Diagnosis:
    web = seen("web1", instances=[nginx(route())], apps=[app()], units=[unit(), nginx_unit()])
    return diagnose(fleet(web, seen("plain")))


def broken(
    *, routes: int = 1, file: str = "/etc/nginx/shop", host: str = "web1", name: str = "shop.example"
) -> Diagnosis:
    """One wrong address with one answer, one with two, and a host that could not be looked at."""
    wrong = [
        route(WRONG, location=f"/{each}", line=each, file=file, server_names=[name]) for each in range(1, routes + 1)
    ]
    probes = [probe(WRONG, "refused"), probe(RIGHT)]
    one = seen(host, instances=[nginx(*wrong)], apps=[app(RIGHT)], units=[unit(), nginx_unit()], probes=probes)
    two = seen(
        "web2",
        instances=[nginx(route(WRONG))],
        apps=[app(RIGHT), app(OTHER, unit="b.service")],
        units=[unit(), unit("b.service"), nginx_unit()],
        probes=[*probes, probe(OTHER)],
        missed=[{"what": "error log /var/log/nginx/error.log", "why": "Permission denied"}],
    )
    return diagnose(fleet(one, two, unreachable("db1", "timed out")))
