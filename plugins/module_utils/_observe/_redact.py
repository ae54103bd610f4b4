# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not leave a host: credentials in URLs, headers, arguments and environment; query strings in log lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

HIDDEN = "***"

_SENSITIVE_NAME = (
    r"(?i)pass(?:word|wd|phrase|$)|(?:^|[_-])pass(?:[_-]|$)|pwd|secret|token|credential"
    r"|(?:api|access|private|signing|encryption|auth)[_-]?key"
    r"|(?:^|[_-])auth(?:$|orization)|(?:^|[_-])dsn$|cookie"
)
_URL_CREDENTIALS = r"(?P<scheme>[a-zA-Z][\w+.-]*://)[^/\s@\"']*@"
_HEADER = (
    r"(?i)(?P<name>\b(?:proxy-)?authorization|\b(?:set-)?cookie|\bx-[\w-]*(?:key|token|secret)[\w-]*)(?P<between>[\"']?\s*[:=]\s*)"
    r"(?P<value>[^\r\n\"]+)"
)
_QUERY = r"\?[^\s\"]+"
_SENSITIVE_WORDS = (
    r"(?i)(?P<name>[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key)[\w-]*)(?P<between>[\"']?\s*[:=]\s*[\"']?)"
    r"(?P<value>[^\s,;&\"']+)"
)
_ASSIGNMENT = r"(?s)^(?P<name>-{0,2}[A-Za-z_][\w.-]*)=(?P<value>.*)$"


def redact(text: str) -> str:
    """`text` without credentials in URLs and header values."""
    without_credentials = re.sub(_URL_CREDENTIALS, rf"\g<scheme>{HIDDEN}@", text)
    return re.sub(_HEADER, rf"\g<name>\g<between>{HIDDEN}", without_credentials)


def redact_log_line(line: str) -> str:
    """As `redact`, and without query strings: they hold tokens and personal data of clients."""
    return redact(re.sub(_QUERY, f"?{HIDDEN}", line))


def redact_message(line: str) -> str:
    """As `redact_log_line`, for what an app server prints: it may name a secret in any words."""
    return re.sub(_SENSITIVE_WORDS, rf"\g<name>\g<between>{HIDDEN}", redact_log_line(line))


def is_secret_name(name: str) -> bool:
    """Whether what a name like `--db-password` or `SECRET_KEY` stands for is to be hidden."""
    return re.search(_SENSITIVE_NAME, name.lstrip("-")) is not None


def redact_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: HIDDEN if is_secret_name(name) else redact(value) for name, value in environment.items()}


def redact_arguments(arguments: Iterable[str]) -> list[str]:
    """An argument list without the values of `--password x`, `--password=x` and `SECRET=x`."""
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        assignment = re.match(_ASSIGNMENT, argument)
        if hide_next and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif assignment and is_secret_name(assignment["name"]):
            shown.append(f"{assignment['name']}={HIDDEN}")
        else:
            shown.append(redact(argument))
        hide_next = argument.startswith("--") and "=" not in argument and is_secret_name(argument)
    return shown
