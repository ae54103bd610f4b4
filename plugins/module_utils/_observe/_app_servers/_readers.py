# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reads the settings of each kind of app server.

A host compiles anew all that a run imports, so only what reads the kinds that it has is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import Reading


def reader_of(program: str, *, version: str) -> Callable[..., Reading]:
    """A function of `start` and `notes`. `version` is the server's, as some settings' defaults depend on it."""
    if program == "gunicorn":
        from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._gunicorn import (
            read_gunicorn,
        )

        return read_gunicorn
    if program == "uwsgi":
        from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._uwsgi import read_uwsgi

        return read_uwsgi
    if program == "php-fpm":
        from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._php_fpm import read_php_fpm

        return read_php_fpm
    if program == "puma":
        from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._puma import read_puma

        return partial(read_puma, version=version)
    if program == "node":
        from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._node import read_node

        return read_node
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._asgi import ASGI_READERS

    return ASGI_READERS[program]
