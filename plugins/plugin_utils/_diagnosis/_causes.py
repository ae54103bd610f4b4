# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of causes that can be named, each with a sentence for people. docs/causes has a page for each."""

from __future__ import annotations

TITLES = {
    "app_not_running": "The app server does not run",
    "wrong_upstream_address": "nginx points where no app server listens",
    "socket_missing": "The app server's socket file is gone",
    "startup_host_not_found": "An upstream host name does not resolve",
    "nginx_config_invalid": "nginx refuses its configuration",
    "nginx_not_running": "nginx does not run",
    "app_not_supervised": "Nothing restarts the app server when it ends",
    "app_not_enabled": "The app server does not come back after a reboot",
    "endpoint_not_answering": "An endpoint does not answer nginx as it should",
}
