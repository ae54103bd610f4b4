# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx that a change can be made to: what gathering finds, cut down to what changing needs."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import find_instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import read_processes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import read_units

# Angie and Tengine count their own versions.
_NUMBERED_AS_NGINX = ("nginx", "plus", "openresty")


def nginx_instances(config: str | None) -> list[Nginx]:
    """Every nginx of this host, or the one whose main file `config` is; RouteError, saying why, when there is none."""
    notes = Notes()
    table = read_processes(notes=notes)
    found = find_instances(table=table, units=read_units((), notes=notes), config=config, notes=notes)
    usable = [
        Nginx(
            id=f"nginx@{instance.config}",
            binary=instance.command.binary,
            config=instance.config,
            prefix=instance.prefix,
            pid=instance.pid,
            unit=instance.unit,
            directives=instance.command.directives,
            version=instance.build.version if instance.build.flavour in _NUMBERED_AS_NGINX else "",
            plus=instance.build.flavour == "plus",
        )
        for instance in found
        if instance.command.binary
    ]
    if not usable:
        told = "; ".join(f"{entry['what']}: {entry['why']}" for entry in notes.entries)
        raise RouteError(f"no nginx to change on this host ({told}); start it, or install it")
    return usable
