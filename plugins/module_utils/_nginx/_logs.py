# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a configuration sends its error and access logs: pure functions, nothing is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive, walk
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AccessLogSetting, ErrorLogSetting

_LEVELS = ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")
#: The format that nginx knows by itself, and takes where an access_log names none.
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)


def error_logs(config: Config, *, default: str) -> list[ErrorLogSetting]:
    """Every `error_log` that the main level and HTTP use; `default` (compiled in) where the main level has none."""
    found = [_error_log(one, config.prefix) for one in config.directives if one.name == "error_log"]
    if not found:
        destination = _destination(default, config.prefix)
        found.append({"destination": destination, "level": "error", "file": shown(config.main), "line": 0})
    for one in walk(_http(config)):
        if one.name == "error_log":
            found.append(_error_log(one, config.prefix))
    return [setting for index, setting in enumerate(found) if setting not in found[:index]]


def access_logs(config: Config, *, default: str) -> list[AccessLogSetting]:
    """Every access log that a server or one of its locations writes; `default` (compiled in) where none is set.

    A level with an `access_log` of its own has none of those above.
    """
    http = list(_http(config))
    formats = _formats(http)
    standard: AccessLogSetting = {
        "destination": _destination(default, config.prefix),
        "format": COMBINED,
        "server_names": [],
        "file": shown(config.main),
        "line": 0,
    }
    above = _own(http, formats, config.prefix) or [standard]
    servers = [one for one in http if one.name == "server"]
    found: dict[tuple[str, str], AccessLogSetting] = {}
    writers: dict[tuple[str, str], set[int]] = {}
    for number, server in enumerate(servers):
        for setting in _in_force(server.block or (), above, formats, config.prefix):
            key = (setting["destination"], setting["format"])
            found.setdefault(key, setting)
            writers.setdefault(key, set()).add(number)
    for key, setting in found.items():
        everyone = len(writers[key]) == len(servers)
        names = () if everyone else (name for number in sorted(writers[key]) for name in _names(servers[number]))
        setting["server_names"] = list(dict.fromkeys(names))
    return list(found.values())


def _in_force(
    block: Iterable[Directive], above: Sequence[AccessLogSetting], formats: dict[str, str], prefix: str
) -> Iterator[AccessLogSetting]:
    statements = list(block)
    own = _own(statements, formats, prefix) or above
    yield from own
    for one in statements:
        if one.block is not None:
            yield from _in_force(one.block, own, formats, prefix)


def _own(block: Iterable[Directive], formats: dict[str, str], prefix: str) -> list[AccessLogSetting]:
    return [_access_log(one, formats, prefix) for one in block if one.name == "access_log" and one.args]


def _access_log(directive: Directive, formats: dict[str, str], prefix: str) -> AccessLogSetting:
    words = [arg.value for arg in directive.args]
    off = words[0] == "off"
    named = words[1] if len(words) > 1 and "=" not in words[1] else "combined"
    return {
        "destination": "off" if off else _destination(words[0], prefix),
        "format": "" if off else shown(formats.get(named, "")),
        "server_names": [],
        "file": shown(directive.file),
        "line": directive.line,
    }


def _formats(http: Iterable[Directive]) -> dict[str, str]:
    """The text of every log_format, its parts joined as nginx joins them."""
    formats = {"combined": COMBINED}
    for one in http:
        if one.name == "log_format" and one.args:
            name, *parts = (arg.value for arg in one.args)
            formats[name] = "".join(parts[1:] if parts and parts[0].startswith("escape=") else parts)
    return formats


def _names(server: Directive) -> list[str]:
    return [shown(arg.value) for one in server.block or () if one.name == "server_name" for arg in one.args]


def _http(config: Config) -> Iterator[Directive]:
    for directive in config.directives:
        if directive.name == "http":
            yield from directive.block or ()


def _error_log(directive: Directive, prefix: str) -> ErrorLogSetting:
    words = [arg.value for arg in directive.args]
    levels = [word for word in words[1:] if word in _LEVELS]
    return {
        "destination": _destination(words[0] if words else "", prefix),
        "level": levels[0] if levels else "error",
        "file": shown(directive.file),
        "line": directive.line,
    }


def _destination(value: str, prefix: str) -> str:
    # `off` is no keyword of error_log: nginx writes to a file of that name.
    if value == "stderr" or value.startswith(("syslog:", "memory:")):
        return shown(value)
    return shown(os.path.join(prefix, value))  # noqa: PTH118 - joined as nginx joins it, nothing tidied
